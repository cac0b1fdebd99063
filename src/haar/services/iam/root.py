"""The root user: the account's owner, and its one key pair."""

from haar.auth.principal import Credential, Principal
from haar.services.iam.entities import decode, encode
from haar.services.iam.keys import key_id, secret
from haar.services.iam.records import ROOT, ROOT_ROW, RootKey
from haar.services.service import Host
from haar.store.contract import Transaction


def root_principal(account: str, access_key_id: str) -> Principal:
    return Principal(kind="root", account=account, arn=f"arn:aws:iam::{account}:root", id=account, access_key_id=access_key_id)


async def ensure_root(host: Host) -> Credential:
    """Root's credential, made at the first start."""

    async def write(tx: Transaction) -> RootKey:
        raw = await tx.get(ROOT, ROOT_ROW)
        if raw is not None:
            return decode(raw, RootKey)
        key = RootKey(id=key_id(host, "AKIA"), secret=secret(host.ids), created=host.clock.now())
        tx.put(ROOT, ROOT_ROW, b"", encode(key))
        return key

    key = await host.store.transact(write)
    return Credential(key.id, key.secret, root_principal(host.account, key.id))


async def find_root(host: Host) -> RootKey | None:
    raw = await host.store.get(ROOT, ROOT_ROW)
    return None if raw is None else decode(raw, RootKey)


async def root_created(host: Host) -> float:
    """When the account was made."""
    key = await find_root(host)
    return host.clock.now() if key is None else key.created
