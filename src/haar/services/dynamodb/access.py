"""What each operation demands of policies: actions, ARNs and condition keys.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from haar.services.dynamodb.prepare import CALLED, PREPARED, Prepared
from haar.services.dynamodb.tables import Table, Tables, table_arn, table_name
from haar.services.dynamodb.values import Item
from haar.services.service import Context, Demand, Demands, Input

Demanding = Callable[[Context, Input], "Awaitable[Sequence[Demand]]"]
Making = Callable[..., "Mapping[str, Sequence[str]]"]
Pairs = Callable[[Table | None], "Mapping[str, Sequence[str]]"]
"""Condition keys of what is asked of a table: of the very one that was found, which may be gone from memory when they are asked for."""
NO_CONDITIONS: Mapping[str, Sequence[str]] = MappingProxyType({})
NO_TAGS: Mapping[str, str] = MappingProxyType({})
PARTITION_KEYS = tuple(f"dynamodb:{each}PartitionKeyValues" for each in ("First", "Second", "Third", "Fourth"))


class Conditions(Mapping[str, Sequence[str]]):
    """Condition keys that are worked out when a policy first asks for one."""

    __slots__ = ("_found", "_given", "_make")

    def __init__(self, make: Making, *given: Any) -> None:
        self._make = make
        self._given = given
        self._found: Mapping[str, Sequence[str]] | None = None

    def _pairs(self) -> Mapping[str, Sequence[str]]:
        if self._found is None:
            self._found = self._make(*self._given)
        return self._found

    def __getitem__(self, key: str) -> Sequence[str]:
        return self._pairs()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pairs())

    def __len__(self) -> int:
        return len(self._pairs())


async def demand(ctx: Context, action: str, name: str, conditions: Pairs | None = None, index: str | None = None) -> Demand:
    """One action on one table or index, with the table's tags and resource policy."""
    table = await ctx.host.get(Tables).find(ctx.region, name)
    return _demand(ctx, table, f"dynamodb:{action}", name, NO_CONDITIONS if conditions is None else Conditions(conditions, table), index)


def _demand(
    ctx: Context, table: Table | None, action: str, name: str, conditions: Mapping[str, Sequence[str]], index: str | None
) -> Demand:
    arn = table_arn(ctx.region, ctx.account, name) if table is None else table.arn
    if index is not None:
        arn = f"{arn}/index/{index}"
    if table is None:
        return Demand(action, arn, conditions, None, NO_TAGS)
    return Demand(action, arn, conditions, table.record.policy, table.record.tags)


def on_table(action: str) -> Demanding:
    """The action on the table that TableName names (by name or ARN), without condition keys of its own."""

    async def demands(ctx: Context, input: Input) -> Sequence[Demand]:
        name = input["TableName"] = table_name(ctx, input["TableName"])
        return (await demand(ctx, action, name),)

    return demands


def on_item(action: str) -> Demands:
    """The same for operations on one item."""
    return _on_named(action, item_conditions)


def on_source(action: str) -> Demands:
    """Query and Scan: on the table, or on the index that is read."""
    return _on_named(action, source_conditions)


def _on_named(action: str, keys: Callable[[Context, Input, Table | None], Mapping[str, Sequence[str]]]) -> Demands:
    """Ready at once when the table is in memory: every request of a hot path comes through here."""
    whole = f"dynamodb:{action}"

    def demands(ctx: Context, input: Input) -> Sequence[Demand] | Awaitable[Sequence[Demand]]:
        name = named(ctx, input)
        table = ctx.host.get(Tables).peek(ctx.region, name)
        if table is None:
            return _found(ctx, action, name, partial(keys, ctx, input), input.get("IndexName"))
        return (_demand(ctx, table, whole, name, Conditions(keys, ctx, input, table), input.get("IndexName")),)

    return demands


def named(ctx: Context, input: dict[str, Any]) -> str:
    """The table that TableName names; from here on by its name."""
    given: str = input["TableName"]
    name = table_name(ctx, given)
    if name is not given:
        input["TableName"], input[CALLED] = name, given
    return name


async def _found(ctx: Context, action: str, name: str, conditions: Pairs, index: str | None) -> Sequence[Demand]:
    return (await demand(ctx, action, name, conditions, index),)


def nowhere(action: str) -> Callable[[Context, Input], Sequence[Demand]]:
    """An action that has no resource."""
    made = (Demand(f"dynamodb:{action}"),)

    def demands(ctx: Context, input: Input) -> Sequence[Demand]:
        return made

    return demands


def item_conditions(
    ctx: Context, input: Mapping[str, Any], table: Table | None, transaction: Mapping[str, Any] | None = None
) -> dict[str, Sequence[str]]:
    """Condition keys of an operation on one item, or of one action of a transaction: parameters that are not given have a value as well."""
    prepared: Prepared | None = input.get(PREPARED)
    item: Item = input.get("Item") or input.get("Key") or {}
    keys = leading_keys(table, [item])
    attributes = set(item)
    if prepared is not None:
        attributes.update(prepared.condition_heads)
        if prepared.update is not None:
            attributes.update(prepared.update.accessed)
        if prepared.projection is not None:
            attributes.update(prepared.projection.heads)
    keys["dynamodb:Attributes"] = sorted(attributes)
    if transaction is not None:
        keys["dynamodb:EnclosingOperation"] = [ctx.operation]
    if ctx.operation in ("GetItem", "TransactGetItems"):
        keys["dynamodb:Select"] = ["SPECIFIC_ATTRIBUTES" if prepared is not None and prepared.projection is not None else "ALL_ATTRIBUTES"]
    else:
        keys["dynamodb:ReturnValues"] = returned(input.get("ReturnValues"), input.get("ReturnValuesOnConditionCheckFailure"))
    return keys | capacity_condition(input if transaction is None else transaction)


def returned(values: str | None, on_failure: str | None) -> Sequence[str]:
    """dynamodb:ReturnValues: an item that comes with a failed condition is as good as one that comes with a success."""
    return ["ALL_OLD" if on_failure == "ALL_OLD" and values != "ALL_NEW" else values or "NONE"]


def source_conditions(ctx: Context, input: Mapping[str, Any], table: Table | None) -> dict[str, Sequence[str]]:
    """Condition keys of Query and Scan."""
    prepared: Prepared = input[PREPARED]
    keys: dict[str, Sequence[str]] = {}
    attributes = set(prepared.condition_heads)
    if prepared.projection is not None:
        attributes.update(prepared.projection.heads)
    if prepared.keys is not None:
        attributes.update(prepared.keys)
        index = table.index.get(input.get("IndexName", "")) if table is not None else None
        hashes = [part.name for part in index.hashes] if index is not None else [table.hash.name] if table is not None else []
        found = [prepared.keys[each].values[:1] if each in prepared.keys else [] for each in hashes]
        keys.update(partition_keys([[str(next(iter(value.values()))) for value in values] for values in found]))
    keys["dynamodb:Attributes"] = sorted(attributes)
    select = (
        "SPECIFIC_ATTRIBUTES"
        if prepared.projection is not None
        else "ALL_PROJECTED_ATTRIBUTES"
        if input.get("IndexName")
        else "ALL_ATTRIBUTES"
    )
    keys["dynamodb:Select"] = [input.get("Select") or select]
    keys["dynamodb:FullTableScan"] = ["true" if prepared.keys is None else "false"]
    return keys | capacity_condition(input)


def leading_keys(table: Table | None, items: Iterable[Item]) -> dict[str, Sequence[str]]:
    """The partition key values that items or keys have, as text."""
    if table is None:
        return {}
    values = (item.get(table.hash.name) for item in items)
    return partition_keys([sorted({str(next(iter(value.values()))) for value in values if value})])


def partition_keys(values: Sequence[Sequence[str]]) -> dict[str, Sequence[str]]:
    """Condition keys of the values that each partition key attribute is asked for; only an index may have more than one of those."""
    if not values:
        return {}
    return {"dynamodb:LeadingKeys": values[0], **dict(zip(PARTITION_KEYS, values, strict=False))}


def capacity_condition(input: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    return {"dynamodb:ReturnConsumedCapacity": [input.get("ReturnConsumedCapacity") or "NONE"]}


def tag_conditions(input: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """aws:RequestTag/… and aws:TagKeys of what is tagged or untagged."""
    tags = input.get("Tags") or ()
    keys: dict[str, Sequence[str]] = {f"aws:RequestTag/{tag['Key']}": (tag["Value"],) for tag in tags}
    if named := [tag["Key"] for tag in tags] or input.get("TagKeys"):
        keys["aws:TagKeys"] = named
    return keys
