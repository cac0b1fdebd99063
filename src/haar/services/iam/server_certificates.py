"""Server certificates. A private key is compared with its certificate and not kept: nothing here serves with it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_server-certs.html
"""

import asyncio
from typing import Any, ClassVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from haar.services.iam import shapes
from haar.services.iam.demands import listing, on, tagged_making
from haar.services.iam.entities import create, exists, find, forget, need, put, remove, unique_id
from haar.services.iam.paging import page_of
from haar.services.iam.records import Entity, partition
from haar.services.iam.service import service
from haar.services.iam.tags import checked, register
from haar.services.service import Context, Demand, Input, Output
from haar.store.contract import Transaction
from haar.wire.errors import ServiceError


class ServerCertificate(Entity, kw_only=True, omit_defaults=True):
    space: ClassVar[str] = "iam.certificates"
    noun: ClassVar[str] = "server-certificate"
    title: ClassVar[str] = "ServerCertificate"
    prefix: ClassVar[str] = "ASCA"
    quota: ClassVar[tuple[str, int]] = ("ServerCertificatesPerAccount", 20)

    body: str
    chain: str = ""
    expires: float


def _malformed(message: str) -> ServiceError:
    return ServiceError("MalformedCertificate", message, 400)


def _certificate(body: str, chain: str, key: str) -> x509.Certificate:
    """Raises MalformedCertificate, KeyPairMismatch."""
    try:
        found = x509.load_pem_x509_certificates(body.encode())
    except ValueError:
        raise _malformed("Unable to parse certificate. Please ensure the certificate is in PEM format.") from None
    if len(found) != 1:
        raise _malformed("The certificate body must hold one certificate; others belong into the certificate chain.")
    if chain:
        try:
            x509.load_pem_x509_certificates(chain.encode())
        except ValueError:
            raise _malformed("Unable to parse certificate chain. Please ensure the certificates are in PEM format.") from None
    try:
        private = load_pem_private_key(key.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _malformed("Unable to parse key; the body is encrypted or not in PEM format.") from None

    def public(of: Any) -> bytes:
        told: bytes = of.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return told

    if public(private) != public(found[0]):
        raise ServiceError("KeyPairMismatch", "The public key certificate and the private key do not match.", 400)
    return found[0]


def _metadata(account: str, certificate: ServerCertificate) -> dict[str, Any]:
    shown = shapes.named(certificate, account)
    shown["UploadDate"] = shown.pop("CreateDate")
    return shown | {"Expiration": shapes.when(certificate.expires)}


@service.operation("UploadServerCertificate", tagged_making(ServerCertificate))
async def upload_server_certificate(ctx: Context, input: Input) -> Output:
    body, chain = input["CertificateBody"].strip(), input.get("CertificateChain", "").strip()
    read = await asyncio.to_thread(_certificate, body, chain, input["PrivateKey"])  # checking a long key takes long
    made = ServerCertificate(
        name=input["ServerCertificateName"],
        path=input.get("Path", "/"),
        id=unique_id(ctx.host.ids, ServerCertificate),
        created=ctx.now(),
        tags=checked(input.get("Tags", ())),
        body=body,
        chain=chain,
        expires=read.not_valid_after_utc.timestamp(),
    )
    shown = {"ServerCertificateMetadata": _metadata(ctx.account, await create(ctx, made))}
    return shown | ({"Tags": shapes.tag_list(made.tags)} if made.tags else {})


@service.operation("GetServerCertificate", on(ServerCertificate))
async def get_server_certificate(ctx: Context, input: Input) -> Output:
    found = await need(ctx.store, ServerCertificate, input["ServerCertificateName"])
    shown = {"ServerCertificateMetadata": _metadata(ctx.account, found), "CertificateBody": found.body}
    if found.chain:
        shown["CertificateChain"] = found.chain
    return {"ServerCertificate": shown | ({"Tags": shapes.tag_list(found.tags)} if found.tags else {})}


@service.operation("ListServerCertificates", listing("server-certificate"))
async def list_server_certificates(ctx: Context, input: Input) -> Output:
    found, more = await page_of(ctx.store, ServerCertificate, input)
    return {"ServerCertificateMetadataList": [_metadata(ctx.account, each) for each in found], **more}


async def _updating(ctx: Context, input: Input) -> list[Demand]:
    """The action on the certificate as it is, and as it will be."""
    demands = await on(ServerCertificate)(ctx, input)
    found = await find(ctx.store, ServerCertificate, input["ServerCertificateName"])
    if found is not None and ("NewServerCertificateName" in input or "NewPath" in input):
        found.name, found.path = input.get("NewServerCertificateName", found.name), input.get("NewPath", found.path)
        demands.append(Demand("iam:UpdateServerCertificate", found.arn(ctx.account), tags=found.tags))
    return demands


@service.operation("UpdateServerCertificate", _updating)
async def update_server_certificate(ctx: Context, input: Input) -> Output:
    async def write(tx: Transaction) -> None:
        found = await need(tx, ServerCertificate, input["ServerCertificateName"])
        new = input.get("NewServerCertificateName", found.name)
        if partition(new) != partition(found.name) and await find(tx, ServerCertificate, new) is not None:
            raise exists(ServerCertificate, new)
        remove(tx, found)
        found.name, found.path = new, input.get("NewPath", found.path)
        put(tx, found)

    await ctx.store.transact(write)
    return {}


@service.operation("DeleteServerCertificate", on(ServerCertificate))
async def delete_server_certificate(ctx: Context, input: Input) -> Output:
    async def write(tx: Transaction) -> None:
        await forget(tx, await need(tx, ServerCertificate, input["ServerCertificateName"]))

    await ctx.store.transact(write)
    return {}


register(ServerCertificate)
