"""When keys and roles were last used: noted in memory, written in batches."""

import asyncio
from typing import NoReturn

from haar.auth.principal import Principal
from haar.services.iam.entities import encode
from haar.services.iam.records import USED, Used
from haar.services.iam.service import service
from haar.services.service import Host
from haar.store.contract import Transaction

WRITE_EVERY = 5.0
"""Seconds between two batches."""
NOTED_BOUND = 10_000
"""Keys and roles noted between two batches; more are not noted."""


class Uses:
    """One a host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._noted: dict[str, tuple[float, str, str]] = {}

    def note(self, principal: Principal, service_name: str, region: str) -> None:
        """A long-term key by its id, a role's session by the role's."""
        key = principal.id.partition(":")[0] if principal.kind == "assumed-role" else principal.access_key_id
        if key and (key in self._noted or len(self._noted) < NOTED_BOUND):
            self._noted[key] = (self._host.clock.now(), service_name, region)

    async def write(self) -> None:
        """Writes what was noted since the last time."""
        noted, self._noted = self._noted, {}
        if not noted:
            return

        async def write(tx: Transaction) -> None:
            for key, (at, service_name, region) in noted.items():
                tx.put(USED, key.encode(), b"", encode(Used(at=at, service=service_name, region=region)))

        await self._host.store.transact(write)


async def keep_uses(host: Host) -> NoReturn:
    """The platform's background work for it."""
    uses = host.get(Uses)
    while True:
        await asyncio.sleep(WRITE_EVERY)
        await uses.write()


service.background.append(keep_uses)
