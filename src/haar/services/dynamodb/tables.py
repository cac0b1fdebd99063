"""Tables ready for use: a record compiled into key codecs and index projections, kept in memory until a table's record changes."""

from collections.abc import Awaitable, Callable
from struct import Struct
from typing import TYPE_CHECKING

import orjson

from haar.services.dynamodb import changes, errors, keys, records
from haar.services.dynamodb.images import SIZE_BYTES, Image, Key, values_of
from haar.services.dynamodb.keys import KeyPart, ended, hashed, scalar
from haar.services.dynamodb.limits import ITEM_BYTES, PARTITION_KEY_BYTES, SORT_KEY_BYTES
from haar.services.dynamodb.plain import is_name
from haar.services.dynamodb.records import IndexRecord, TableRecord
from haar.services.dynamodb.values import Item, Value, binary_size, item_size, kind_of
from haar.store.cache import Cached
from haar.store.contract import Transaction

if TYPE_CHECKING:
    from haar.services.service import Context, Host

ARN = "arn:aws:dynamodb:"
LONGEST_HASH = f"Size of hashkey has exceeded the maximum size limit of{PARTITION_KEY_BYTES} bytes"
LONGEST_RANGE = f"Aggregated size of all range keys has exceeded the size limit of {SORT_KEY_BYTES} bytes"
UPDATED_TOO_LONG = "The update expression attempted to update the secondary index key beyond allowed size limits"
EMPTY_KEY = "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty"

FLOAT_BYTES = 4
TOO_LARGE_FLOAT = float.fromhex("0x1.ffffffp+127")
"""Vectors are compared with 32 bits a number: from here on, numbers are not rounded to one that can be."""

ChangeHook = Callable[[Transaction, "Table", Key, Image | None, Image | None, str], Awaitable[None]]
"""(tx, table, key, old, new, origin): called in the item's transaction for each change of it; origin is "" or the
service that did it (`ttl`)."""


class Index:
    """A secondary index, compiled."""

    __slots__ = ("attributes", "hashes", "key_names", "local", "maintained", "name", "parts", "ranges", "record", "space", "whole")

    def __init__(self, table: TableRecord, record: IndexRecord, base_names: tuple[str, ...]) -> None:
        self.record = record
        self.name = record.name
        self.space = record.space
        self.local = record.local
        self.hashes, self.ranges = _parts(record.key_schema, table.attributes)
        self.parts = self.hashes + self.ranges
        self.key_names = tuple(dict.fromkeys([*base_names, *(part.name for part in self.parts)]))
        """Attributes of the index's key and of the table's."""
        self.whole = record.projection == "ALL"
        self.attributes = frozenset(self.key_names) | frozenset(record.non_key if record.projection == "INCLUDE" else ())
        """What is projected, unless the whole item is."""
        self.maintained = record.status != "DELETING"

    def entry(self, table: "Table", key: Key, item: Item) -> Key | None:
        """Where the item's entry is, None when it has none: an index is sparse."""
        if not self.holds(item):
            return None
        ranges = b"".join(ended(kind, item[name][kind]) for name, kind in self.ranges)
        if self.local:
            return Key(key.partition, ranges + key.sort)
        return Key(keys.partition(self.hashes, item), ranges + table.hash_ended(item) + key.sort)

    def holds(self, item: Item) -> bool:
        """Whether the item has an entry."""
        for name, kind in self.parts:
            value = item.get(name)
            if value is None or not value.get(kind):
                return False
        return True

    def fits(self, item: Item) -> bool:
        """Whether the key values are short enough (a backfill leaves the others out)."""
        return all(_length(self.parts_value(item, part)) <= PARTITION_KEY_BYTES for part in self.hashes) and (
            sum(_length(self.parts_value(item, part)) for part in self.ranges) <= SORT_KEY_BYTES
        )

    @staticmethod
    def parts_value(item: Item, part: KeyPart) -> Value:
        return item[part.name]

    def project(self, image: Image) -> Image:
        """What the index keeps of an item."""
        if self.whole:
            return image
        return Image.of(self._projected(image.item))

    def _projected(self, item: Item) -> Item:
        return {name: item[name] for name in item if name in self.attributes}

    def size(self, item: Item, size: int) -> int:
        """The size of the entry of an item of this size; 0 without one."""
        return 0 if not self.holds(item) else size if self.whole else item_size(self._projected(item))


class VectorIndex(Index):
    """An index of vectors: an item is in it when it has a vector that fits, and the partition key if there is one.

    An entry is the item without its vector, and then the vector: 32 bits for each number.
    """

    __slots__ = ("filters", "packed", "vector")

    def __init__(self, table: TableRecord, record: IndexRecord, base_names: tuple[str, ...]) -> None:
        super().__init__(table, record, base_names)
        assert record.vector is not None
        self.vector = record.vector
        self.packed = Struct(f"<{record.vector.dimensions}f")
        self.filters, self.ranges, self.parts = self.ranges, (), self.hashes
        self.key_names = tuple(dict.fromkeys([*base_names, *(part.name for part in self.parts)]))
        self.attributes |= {self.vector.attribute}

    def holds(self, item: Item) -> bool:
        return self._pack(item) is not None and super().holds(item)

    def project(self, image: Image) -> Image:
        name, item = self.vector.attribute, image.item
        rest = {each: item[each] for each in item if each != name and (self.whole or each in self.attributes)}
        packed = self._pack(item)
        assert packed is not None
        return Image((item_size(rest) + len(packed)).to_bytes(SIZE_BYTES) + orjson.dumps(rest) + packed)

    def numbers(self, entry: bytes) -> tuple[float, ...]:
        """The vector of an entry."""
        return self.packed.unpack_from(entry, len(entry) - self.packed.size)

    def item(self, entry: bytes) -> Item:
        """What an entry has of its item, but for the vector."""
        return values_of(entry[: -self.packed.size])

    def check(self, item: Item) -> None:
        """Raises ValidationException when the item has a vector that does not fit."""
        name, value = self.vector.attribute, item.get(self.vector.attribute)
        if value is None or self._pack(item) is not None:
            return
        elements = value.get("L")
        wrong = f"Invalid type for parameter {name}, Expected: L, Actual: {kind_of(value)}"
        if elements is not None:
            wrong = f"Invalid size for parameter {name}, Expected: {self.vector.dimensions}, Actual: {len(elements)}"
            wrong = next(filter(None, (wrong_element(f"{name}[{at}]", each) for at, each in enumerate(elements))), wrong)
        raise errors.invalid(f"{wrong}. IndexName: {self.name}")

    def _pack(self, item: Item) -> bytes | None:
        """The item's vector; None when it has none that fits."""
        value = item.get(self.vector.attribute)
        elements = None if value is None else value.get("L")
        if elements is None or len(elements) != self.vector.dimensions:
            return None
        try:
            return self.packed.pack(*[float(element["N"]) for element in elements])
        except (KeyError, OverflowError):  # not a number, or too large for 32 bits
            return None


def wrong_element(parameter: str, element: Value) -> str | None:
    """What is wrong with one number of a vector; the wording of what is too large is haar's."""
    content = element.get("N")
    if content is None:
        return f"Invalid type for parameter {parameter}, Expected: N, Actual: {kind_of(element)}"
    if abs(float(content)) >= TOO_LARGE_FLOAT:
        return f"Invalid value for parameter {parameter}, Expected: 32-bit floating point number, Actual: {content}"
    return None


class Table:
    """A table, compiled from one version of its record."""

    __slots__ = (
        "arn",
        "hash",
        "index",
        "indexes",
        "key_names",
        "live",
        "locals",
        "name",
        "needs_old",
        "on_change",
        "range",
        "record",
        "space",
    )

    def __init__(self, record: TableRecord, account: str, on_change: ChangeHook | None = None) -> None:
        self.record = record
        self.name = record.name
        self.space = record.space
        self.arn = table_arn(record.region, account, record.name)
        hashes, ranges = _parts(record.key_schema, record.attributes)
        self.hash = hashes[0]
        self.range = ranges[0] if ranges else None
        self.key_names = tuple(name for name, _ in record.key_schema)
        compiled = [(Index if index.vector is None else VectorIndex)(record, index, self.key_names) for index in record.indexes]
        self.index = {index.name: index for index in compiled}
        self.indexes = tuple(index for index in compiled if index.maintained)
        """Those that every write keeps up."""
        self.locals = sum(index.local for index in compiled)
        self.on_change = on_change
        self.live = record.status not in ("CREATING", "DELETING")
        """Whether its items can be read and written."""
        self.needs_old = bool(self.indexes) or on_change is not None
        """Whether a write must know the item that was there."""

    def key(self, key: Item) -> Key:
        """The place of a canonical `Key` parameter. Raises ValidationException when it is not of the schema."""
        if len(key) != (1 if self.range is None else 2):
            raise errors.key_mismatch()
        partition = hashed(_key_bytes(key, self.hash, PARTITION_KEY_BYTES, LONGEST_HASH))
        return Key(partition, b"" if self.range is None else _key_bytes(key, self.range, SORT_KEY_BYTES, LONGEST_RANGE))

    def item_key(self, item: Item) -> Key:
        """The place of a canonical item that is to be written. Raises ValidationException when its keys, or an index's, are not right."""
        partition = hashed(_item_bytes(item, self.hash, PARTITION_KEY_BYTES, LONGEST_HASH))
        sort = b"" if self.range is None else _item_bytes(item, self.range, SORT_KEY_BYTES, LONGEST_RANGE)
        if self.indexes:
            self.check_index_keys(item)
        return Key(partition, sort)

    def check_index_keys(self, item: Item, changed: tuple[str, ...] | None = None, updating: bool = False) -> None:
        """Raises ValidationException when an attribute that an index is keyed by has a value that it cannot have.

        `changed` are the attributes to look at, all when None: an index made later leaves out items that do not fit it. `updating` by an
        expression is told in other words.
        """
        for index in self.indexes:
            for part in index.parts:
                value = item.get(part.name)
                if value is None or (changed is not None and part.name not in changed):
                    continue
                content = value.get(part.kind)
                if content is None:
                    if updating:
                        raise errors.validation("The update expression attempted to update the secondary index key to unsupported type")
                    raise errors.invalid(
                        f"Type mismatch for Index Key {part.name} Expected: {part.kind} Actual: {kind_of(value)} IndexName: {index.name}"
                    )
                if content == "":
                    raise errors.validation(
                        f"One or more parameter values are not valid. {_UPDATED if updating else _SPECIFIED} "
                        f"The AttributeValue for a key attribute cannot contain an empty {_EMPTY[part.kind]} value. "
                        f"IndexName: {index.name}, IndexKey: {part.name}"
                    )
                if len(content) * 4 > SORT_KEY_BYTES and part.kind != "N":
                    self._check_index_lengths(index, item, updating)
            if isinstance(index, VectorIndex) and (changed is None or index.vector.attribute in changed):
                index.check(item)

    @staticmethod
    def _check_index_lengths(index: Index, item: Item, updating: bool) -> None:
        if any(_length(item[part.name]) > PARTITION_KEY_BYTES for part in index.hashes if part.name in item):
            raise errors.validation(UPDATED_TOO_LONG) if updating else errors.invalid(LONGEST_HASH)
        if sum(_length(item[part.name]) for part in index.ranges if part.name in item) > SORT_KEY_BYTES:
            raise errors.validation(UPDATED_TOO_LONG) if updating else errors.invalid(LONGEST_RANGE)

    def check_size(self, item: Item, size: int, too_large: str) -> None:
        """Raises ValidationException when the item is too large, alone or together with its entries in local indexes.

        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-items-size-secondary-indexes
        """
        if (
            size * (1 + self.locals) > ITEM_BYTES
            and size + sum(index.size(item, size) for index in self.indexes if index.local) > ITEM_BYTES
        ):
            raise errors.validation(too_large)

    def check_paths(self, nested: tuple[str, ...]) -> None:
        """Raises ValidationException when an expression looks into an attribute that is a key."""
        for name in nested:
            kind = "Key" if name in self.key_names else "IndexKey" if any(name in index.key_names for index in self.indexes) else None
            if kind is not None:
                raise errors.validation(
                    f"Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: {kind}: {name}"
                )

    def hash_ended(self, item: Item) -> bytes:
        """The partition key as a component that others follow."""
        name, kind = self.hash
        return ended(kind, item[name][kind])

    def key_of(self, item: Item) -> Item:
        """The item's primary key attributes."""
        return {name: item[name] for name in self.key_names}

    def index_arn(self, name: str) -> str:
        return f"{self.arn}/index/{name}"


_SPECIFIED = "A value specified for a secondary index key is not supported."
_UPDATED = "The update expression attempted to update a secondary index key to a value that is not supported."
_EMPTY = {"S": "string", "B": "binary", "N": "number"}


def _parts(schema: list[tuple[str, str]], attributes: dict[str, str]) -> tuple[tuple[KeyPart, ...], tuple[KeyPart, ...]]:
    both: tuple[list[KeyPart], list[KeyPart]] = ([], [])
    for name, kind in schema:
        both[kind != "HASH"].append(KeyPart(name, attributes[name]))  # type: ignore[arg-type]  # S, N or B: it was checked
    return tuple(both[0]), tuple(both[1])


def _length(value: Value) -> int:
    kind, content = next(iter(value.items()))
    if kind == "B":
        return binary_size(content)
    return len(content) if kind == "N" or content.isascii() else len(content.encode())


def _key_bytes(key: Item, part: KeyPart, most: int, too_long: str) -> bytes:
    value = key.get(part.name)
    content = None if value is None else value.get(part.kind)
    if content is None:
        raise errors.key_mismatch()
    return _encoded(content, part, most, too_long)


def _item_bytes(item: Item, part: KeyPart, most: int, too_long: str) -> bytes:
    value = item.get(part.name)
    if value is None:
        raise errors.invalid(f"Missing the key {part.name} in the item")
    content = value.get(part.kind)
    if content is None:
        raise errors.invalid(f"Type mismatch for key {part.name} expected: {part.kind} actual: {kind_of(value)}")
    return _encoded(content, part, most, too_long)


def _encoded(content: str, part: KeyPart, most: int, too_long: str) -> bytes:
    if not content:
        raise errors.validation(f"{EMPTY_KEY} {_EMPTY[part.kind]} value. Key: {part.name}")
    data = scalar(part.kind, content)
    if len(data) > most:
        raise errors.invalid(too_long)
    return data


def table_arn(region: str, account: str, name: str) -> str:
    return f"{ARN}{region}:{account}:table/{name}"


class Tables:
    """The compiled tables of a platform: `host.get(Tables)`."""

    def __init__(self, host: "Host") -> None:
        self._host = host
        self._account = host.account
        self._store = host.store
        self._cached: Cached[Table | None] = Cached(host.store, [records.TABLES], self._load)

    async def _load(self, key: str) -> Table | None:
        region, _, name = key.partition("/")
        data = await self._store.get(*records.place(region, name))
        return None if data is None else self.compile(records.decode(data))

    def compile(self, record: TableRecord) -> Table:
        return Table(record, self._account, changes.hook(self._host, record))

    def peek(self, region: str, name: str) -> Table | None:
        """The table if it is in memory; no I/O."""
        return self._cached.peek(f"{region}/{name}")

    async def find(self, region: str, name: str) -> Table | None:
        """The table in whatever status, None when there is none."""
        key = f"{region}/{name}"
        return self._cached.peek(key) or await self._cached.get(key)

    def ready(self, region: str, name: str) -> Table | None:
        """What `live` answers if that is in memory, None when it has to be asked; for hot paths."""
        table = self._cached.peek(f"{region}/{name}")
        return table if table is not None and table.live else None

    async def live(self, region: str, name: str) -> Table:
        """The table for reading and writing items. Raises ResourceNotFoundException as the data plane says it."""
        key = f"{region}/{name}"
        table = self._cached.peek(key) or await self._cached.get(key)
        if table is None or not table.live:
            raise errors.resource_not_found()
        return table


def table_name(ctx: "Context", given: str) -> str:
    """The name in a TableName parameter, which may be the table's ARN."""
    if not given.startswith("arn:"):
        return given
    parts = given.split(":", 5)
    kind, _, name = parts[5].partition("/") if len(parts) == 6 else ("", "", "")
    if kind != "table" or not is_name(name) or parts[2] != "dynamodb":
        raise errors.validation(f"Invalid table ARN: {given}")
    if parts[4] != ctx.account:
        raise errors.foreign(ctx, given)
    if parts[3] != ctx.region:
        raise errors.resource_not_found()
    return name
