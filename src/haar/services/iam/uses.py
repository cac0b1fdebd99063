"""When keys and roles were last used, and which services by whom: noted in memory, written in batches."""

import asyncio
from typing import NoReturn

from haar.auth.principal import Principal
from haar.services.iam.entities import decode, encode, find
from haar.services.iam.records import ACCESSED, IDS, KEYS, ROOT, ROOT_ROW, USED, Role, RootKey, Used
from haar.services.iam.service import service
from haar.services.service import Host
from haar.store.contract import Transaction

WRITE_EVERY = 5.0
"""Seconds between two batches."""
NOTED_BOUND = 10_000
"""Keys and roles noted between two batches; more are not noted."""


Note = tuple[float, str, str, str]
"""When, by which service, in which region, and the role's name (empty for a key). A plain tuple: one is made every request."""
Access = tuple[float, str]
"""When and in which region a user or a role used a service."""


class Uses:
    """One a host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._noted: dict[str, Note] = {}
        self._accessed: dict[tuple[str, str], Access] = {}
        """By unique id and service."""

    def note(self, principal: Principal, service_name: str, namespace: str, region: str) -> None:
        """A long-term key by its id, a role's session by the role's, and of both and of users' sessions the services that they use."""
        role, now = "", self._host.clock.now()
        if principal.kind == "assumed-role":
            key = who = principal.id.partition(":")[0]
            role = principal.name
        else:
            key = principal.access_key_id if principal.issued is None else ""
            who = principal.id if principal.kind == "user" else ""
        noted, accessed = self._noted, self._accessed
        if key and (key in noted or len(noted) < NOTED_BOUND):
            noted[key] = (now, service_name, region, role)
        if who and len(accessed) < NOTED_BOUND:
            accessed[who, namespace] = (now, region)

    async def write(self) -> None:
        """Writes what was noted since the last time, but for what is gone meanwhile."""
        noted, self._noted = self._noted, {}
        accessed, self._accessed = self._accessed, {}
        if not noted and not accessed:
            return

        async def write(tx: Transaction) -> None:
            for key, (at, service_name, region, role) in noted.items():
                if await self._is_there(tx, key, role):
                    tx.put(USED, key.encode(), b"", encode(Used(at=at, service=service_name, region=region)))
            for (who, namespace), (at, region) in accessed.items():
                if await tx.get(IDS, who.encode()) is not None:
                    tx.put(ACCESSED, who.encode(), namespace.encode(), encode(Used(at=at, service=namespace, region=region)))

        await self._host.store.transact(write)

    async def _is_there(self, tx: Transaction, key: str, role: str) -> bool:
        if role:
            found = await find(tx, Role, role)
            return found is not None and found.id == key
        if await tx.get(KEYS, key.encode()) is not None:
            return True
        raw = await tx.get(ROOT, ROOT_ROW)
        return raw is not None and decode(raw, RootKey).id == key


async def keep_uses(host: Host) -> NoReturn:
    """The platform's background work for it."""
    uses = host.get(Uses)
    while True:
        await asyncio.sleep(WRITE_EVERY)
        await uses.write()


service.background.append(keep_uses)
