"""From key conditions to the rows that a query reads."""

from haar.services.dynamodb import errors, keys
from haar.services.dynamodb.expressions.keyconditions import KeyCondition
from haar.services.dynamodb.images import Key
from haar.services.dynamodb.keys import KeyPart, begun, ended, scalar
from haar.services.dynamodb.reads import Span, bounds
from haar.services.dynamodb.tables import Index, Table
from haar.services.dynamodb.values import Item
from haar.wire.errors import ServiceError

NOT_INDEXABLE = ("NULL", "NOT_NULL", "NE", "CONTAINS", "NOT_CONTAINS", "IN")
NOT_SUPPORTED = "Query key condition not supported"
OUTSIDE = "The provided starting key is outside query boundaries based on provided conditions"
BAD_START = "The provided starting key is invalid"
Conditions = dict[str, KeyCondition]


def query_span(table: Table, index: Index | None, conditions: Conditions, start: Item | None, reverse: bool) -> Span:
    """Raises ValidationException when the conditions do not name a partition and a range of its sort key."""
    hashes: tuple[KeyPart, ...] = (table.hash,) if index is None else index.hashes
    ranges: tuple[KeyPart, ...] = ((table.range,) if table.range else ()) if index is None else index.ranges
    after = None if start is None else start_key(table, index, start)
    _check(index, hashes, ranges, conditions)
    item = {part.name: conditions[part.name].values[0] for part in hashes}
    partition = keys.partition(hashes, item)
    low, high = _sorts(ranges, conditions, index is not None)
    if after is not None:
        if after.partition != partition:
            raise errors.validation(OUTSIDE)
        if after.sort < low or (high is not None and after.sort >= high):
            raise errors.validation("The provided starting key does not match the range key predicate" if ranges else OUTSIDE)
    return Span((index or table).space, partition, low, high, reverse, after)


def _check(index: Index | None, hashes: tuple[KeyPart, ...], ranges: tuple[KeyPart, ...], conditions: Conditions) -> None:
    names = [part.name for part in (*hashes, *ranges)]
    if len(conditions) > max(len(names), 2):
        raise errors.validation("Conditions can be of length 1 or 2 only" if len(names) < 3 else NOT_SUPPORTED)
    for part in hashes:
        if part.name not in conditions:
            raise errors.validation(f"Query condition missed key schema element: {part.name}")
    given = [part for part in ranges if part.name in conditions]
    if len(given) + len(hashes) != len(conditions):
        missed = next((part.name for part in ranges if part.name not in conditions), None)
        raise errors.validation(NOT_SUPPORTED if missed is None else f"Query condition missed key schema element: {missed}")
    for condition in conditions.values():
        if condition.operator in NOT_INDEXABLE:
            raise errors.validation("Attempted conditional constraint is not an indexable operation")
    if any(conditions[part.name].operator != "EQ" for part in hashes):
        raise errors.validation(NOT_SUPPORTED)
    for at, part in enumerate(given):
        if ranges[at] is not part:
            raise errors.validation(f"Query condition missed key schema element: {ranges[at].name}")
        if at + 1 < len(given) and conditions[part.name].operator != "EQ":
            raise errors.validation(NOT_SUPPORTED)
    for part in (*hashes, *given):
        for value in conditions[part.name].values:
            if part.kind not in value:
                raise errors.invalid("Condition parameter type does not match schema type")
            if value[part.kind] == "" and conditions[part.name].operator != "BEGINS_WITH":
                kind = "string" if part.kind == "S" else "binary"
                empty = f"The AttributeValue for a key attribute cannot contain an empty {kind} value."
                raise errors.validation(
                    f"One or more parameter values are not valid. {empty} Key: {part.name}"
                    if index is None
                    else "One or more parameter values are not valid. A value specified for a secondary index key is not supported. "
                    f"{empty} IndexName: {index.name}, IndexKey: {part.name}"
                )
        if conditions[part.name].operator == "BEGINS_WITH" and part.kind == "N":
            raise errors.invalid("ComparisonOperator BEGINS_WITH is not valid for N AttributeValue type")


def _sorts(ranges: tuple[KeyPart, ...], conditions: Conditions, closed: bool) -> tuple[bytes, bytes | None]:
    """Sort keys from and up to which the conditions hold."""
    prefix = b""
    given = [part for part in ranges if part.name in conditions]
    if not given:
        return b"", None
    for part in given[:-1]:
        prefix += ended(part.kind, conditions[part.name].values[0][part.kind])
    kind = given[-1].kind
    operator, values = conditions[given[-1].name]
    encode = ended if closed else scalar
    start = begun if closed else scalar
    return bounds(prefix, operator, lambda at: encode(kind, values[at][kind]), lambda at: start(kind, values[at][kind]), closed)


def start_key(table: Table, index: Index | None, given: Item, scan: bool = False) -> Key:
    """The row that an ExclusiveStartKey names, whether or not it is still there.

    Only the Scan of a table says that a key is not of the schema.
    """
    mismatch = errors.validation(f"{BAD_START}: {errors.KEY_MISMATCH}" if scan and index is None else BAD_START)
    names = table.key_names if index is None else index.key_names
    if len(given) != len(names) or any(name not in given for name in names):
        raise mismatch
    try:
        key = table.key({name: given[name] for name in table.key_names})
    except ServiceError as error:
        raise mismatch if error.message == errors.KEY_MISMATCH else errors.validation(f"{BAD_START}: {error.message}") from None
    entry = key if index is None else index.entry(table, key, given)
    if entry is None:
        raise mismatch
    return entry
