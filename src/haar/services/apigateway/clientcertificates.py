"""Client certificates: what a stage shows to the HTTPS servers behind it, so that they know who calls."""

import asyncio
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from haar.services.apigateway import errors
from haar.services.apigateway.demands import on
from haar.services.apigateway.face import service
from haar.services.apigateway.pages import page
from haar.services.apigateway.patch import Rules, Value, apply, text_or_none
from haar.services.apigateway.records import ACCOUNT, Doc, docs, get_doc, put_doc, update_doc
from haar.services.apigateway.tags import check_tags
from haar.services.service import Context, Input, Output
from haar.store.contract import Transaction
from haar.wire.errors import ServiceError

MAX_CERTIFICATES = 60
"""Client certificates of an account in a region."""
DAYS = 365
CERTIFICATE = "/clientcertificates/{clientCertificateId}"
RULES: Rules = {"/description": Value(text_or_none, ("add", "replace", "remove"))}


def no_certificate() -> ServiceError:
    return errors.not_found("Invalid Client Certificate Identifier Specified")


def show(certificate: Doc) -> Doc:
    return {key: value for key, value in certificate.items() if key != "key"}


def make_certificate(now: datetime, serial: int) -> tuple[str, str]:
    """A certificate that signs itself, and its key; both PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.LOCALITY_NAME, "Seattle"),
            x509.NameAttribute(NameOID.COMMON_NAME, "ApiGateway"),
        ]
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=DAYS))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.public_bytes(pem).decode(), secret.decode()


@service.operation("GenerateClientCertificate", on("POST", "/clientcertificates"))
async def generate_client_certificate(ctx: Context, input: Input) -> Output:
    check_tags(input.get("tags", {}))
    now = int(ctx.now())
    serial = int.from_bytes(b"\x01" + ctx.host.ids.bytes(8))
    certificate, key = await asyncio.to_thread(make_certificate, datetime.fromtimestamp(now, UTC), serial)
    made: Doc = {
        "clientCertificateId": ctx.host.ids.text(6),
        "pemEncodedCertificate": certificate,
        "createdDate": now,
        "expirationDate": now + DAYS * 86_400,
        "key": key,
    }
    made |= {member: input[member] for member in ("description", "tags") if input.get(member)}

    async def run(tx: Transaction) -> None:
        if len(await docs(tx, ACCOUNT, ctx.region, "certificate/")) >= MAX_CERTIFICATES:
            raise errors.limit_exceeded("Maximum number of client certificates has been reached")
        put_doc(tx, ACCOUNT, ctx.region, f"certificate/{made['clientCertificateId']}", made)

    await ctx.store.transact(run)
    return show(made)


@service.operation("GetClientCertificate", on("GET", CERTIFICATE))
async def get_client_certificate(ctx: Context, input: Input) -> Output:
    found = await get_doc(ctx.store, ACCOUNT, ctx.region, f"certificate/{input['clientCertificateId']}")
    if found is None:
        raise no_certificate()
    return show(found)


@service.operation("GetClientCertificates", on("GET", "/clientcertificates"))
async def get_client_certificates(ctx: Context, input: Input) -> Output:
    found = await docs(ctx.store, ACCOUNT, ctx.region, "certificate/")
    return page([show(one) for one in found], input, lambda one: str(one["clientCertificateId"]))


@service.operation("UpdateClientCertificate", on("PATCH", CERTIFICATE))
async def update_client_certificate(ctx: Context, input: Input) -> Output:
    def change(certificate: Doc) -> Doc:
        return apply(certificate, input.get("patchOperations", []), RULES)

    return show(await update_doc(ctx, ACCOUNT, ctx.region, f"certificate/{input['clientCertificateId']}", change, no_certificate))


@service.operation("DeleteClientCertificate", on("DELETE", CERTIFICATE))
async def delete_client_certificate(ctx: Context, input: Input) -> Output:
    certificate_id = input["clientCertificateId"]

    async def run(tx: Transaction) -> None:
        key = f"certificate/{certificate_id}"
        if await get_doc(tx, ACCOUNT, ctx.region, key) is None:
            raise no_certificate()
        tx.delete(ACCOUNT, ctx.region.encode(), key.encode())

    await ctx.store.transact(run)
    return {}
