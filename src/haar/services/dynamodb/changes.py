"""What is written besides an item, in its transaction, whenever it changes: decided once, when a table is compiled."""

from typing import TYPE_CHECKING

from haar.services.dynamodb import expiries, history, shards
from haar.services.dynamodb.images import Image, Key
from haar.store.contract import Transaction

if TYPE_CHECKING:
    from haar.services.dynamodb.records import TableRecord
    from haar.services.dynamodb.tables import ChangeHook, Table
    from haar.services.service import Host


def hook(host: "Host", record: "TableRecord") -> "ChangeHook | None":
    """The table's change hook, None when nothing follows from a change."""
    found = [each for each in (shards.recorder(host, record), expiries.keeper(record), history.logger(host, record)) if each is not None]
    if len(found) < 2:
        return found[0] if found else None
    hooks = tuple(found)

    async def all_of_them(tx: Transaction, table: "Table", key: Key, old: Image | None, new: Image | None, origin: str) -> None:
        for each in hooks:
            await each(tx, table, key, old, new, origin)

    return all_of_them
