"""SSH public keys of users, for services that take Git's commands.

https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_ssh-keys.html
"""

import base64
import hashlib
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key, load_ssh_public_key

from haar.services.iam import errors, shapes
from haar.services.iam.demands import on
from haar.services.iam.entities import change, need
from haar.services.iam.paging import page
from haar.services.iam.records import BASE32, ID_LENGTH, SshKey, User
from haar.services.iam.service import service
from haar.services.iam.users import caller_name
from haar.services.service import Context, Input, Output
from haar.store.contract import Transaction
from haar.wire.errors import ServiceError

MAX_KEYS = 5
MIN_BITS = 2048
INVALID = "The public key is invalid: it must be an RSA key of 2048 to 16384 bits in SSH or PEM format."


def _read(body: str) -> RSAPublicKey:
    """Raises InvalidPublicKey."""
    data = body.strip().encode()
    try:
        found = load_pem_public_key(data) if data.startswith(b"-----") else load_ssh_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, RSAPublicKey) or found.key_size < MIN_BITS:
        raise ServiceError("InvalidPublicKey", INVALID, 400)
    return found


def _wire(key: RSAPublicKey) -> str:
    """`ssh-rsa AAAA…`"""
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def _fingerprint(ssh: str) -> str:
    digest = hashlib.md5(base64.b64decode(ssh.split()[1]), usedforsecurity=False).hexdigest()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))


def _metadata(user: User, key: SshKey) -> dict[str, Any]:
    return {
        "UserName": user.name,
        "SSHPublicKeyId": key.id,
        "Status": "Active" if key.active else "Inactive",
        "UploadDate": shapes.when(key.created),
    }


def _shown(user: User, key: SshKey, encoding: str) -> dict[str, Any]:
    body = key.body
    if encoding == "PEM":
        body = _read(body).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return {"SSHPublicKey": _metadata(user, key) | {"Fingerprint": _fingerprint(key.body), "SSHPublicKeyBody": body}}


def _key(user: User, key_id: str) -> SshKey:
    found = next((key for key in user.ssh_keys if key.id == key_id), None)
    if found is None:
        raise errors.no_such_entity(f"The Public Key with id {key_id} cannot be found.")
    return found


@service.operation("UploadSSHPublicKey", on(User))
async def upload_ssh_public_key(ctx: Context, input: Input) -> Output:
    ssh = _wire(_read(input["SSHPublicKeyBody"]))
    key = SshKey(id="APKA" + ctx.host.ids.text(ID_LENGTH, BASE32), body=ssh, created=ctx.now())

    async def edit(tx: Transaction, user: User) -> None:
        if any(each.body == ssh for each in user.ssh_keys):
            raise ServiceError("DuplicateSSHPublicKey", "The SSH public key is already associated with the specified IAM user.", 400)
        if len(user.ssh_keys) >= MAX_KEYS:
            raise errors.quota("SSHPublicKeysPerUser", MAX_KEYS)
        user.ssh_keys.append(key)

    return _shown(await change(ctx, User, input["UserName"], edit), key, "SSH")


@service.operation("GetSSHPublicKey", on(User))
async def get_ssh_public_key(ctx: Context, input: Input) -> Output:
    user = await need(ctx.store, User, input["UserName"])
    return _shown(user, _key(user, input["SSHPublicKeyId"]), input["Encoding"])


@service.operation("ListSSHPublicKeys", on(User))
async def list_ssh_public_keys(ctx: Context, input: Input) -> Output:
    user = await need(ctx.store, User, caller_name(ctx, input))
    keys, more = page(user.ssh_keys, input, lambda key: key.id)
    return {"SSHPublicKeys": [_metadata(user, key) for key in keys], **more}


@service.operation("UpdateSSHPublicKey", on(User))
async def update_ssh_public_key(ctx: Context, input: Input) -> Output:
    async def edit(tx: Transaction, user: User) -> None:
        _key(user, input["SSHPublicKeyId"]).active = input["Status"] == "Active"

    await change(ctx, User, input["UserName"], edit)
    return {}


@service.operation("DeleteSSHPublicKey", on(User))
async def delete_ssh_public_key(ctx: Context, input: Input) -> Output:
    async def edit(tx: Transaction, user: User) -> None:
        user.ssh_keys.remove(_key(user, input["SSHPublicKeyId"]))

    await change(ctx, User, input["UserName"], edit)
    return {}
