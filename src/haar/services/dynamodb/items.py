"""PutItem, GetItem, UpdateItem, DeleteItem."""

from typing import Any

import orjson

from haar.services.dynamodb import errors, writes
from haar.services.dynamodb.access import on_item
from haar.services.dynamodb.capacity import Consumed, read_units, wanted, write_units
from haar.services.dynamodb.collections import collection_metrics
from haar.services.dynamodb.expressions.projections import projector
from haar.services.dynamodb.expressions.updates import Compiled as Update
from haar.services.dynamodb.face import service
from haar.services.dynamodb.images import SIZE_BYTES, Image, size_of, values_of
from haar.services.dynamodb.prepare import CALLED, PREPARED, Prepared
from haar.services.dynamodb.tables import Table, Tables
from haar.services.dynamodb.throughput import Throughput
from haar.services.dynamodb.values import TOO_LARGE, Item, item_size, value_size
from haar.services.dynamodb.writes import Outcome, Write
from haar.services.service import Context, Input, Output
from haar.store.errors import StoreBusy
from haar.wire.errors import ServiceError

UPDATED_TOO_LARGE = "Item size to update has exceeded the maximum allowed size"


@service.operation("GetItem", on_item("GetItem"))
async def get_item(ctx: Context, input: Input) -> Output:
    tables, name = ctx.host.get(Tables), input["TableName"]
    table = tables.ready(ctx.region, name) or await tables.live(ctx.region, name)
    partition, sort = table.key(input["Key"])
    prepared: Prepared = input[PREPARED]
    if prepared.nested:
        table.check_paths(prepared.nested)
    meter = ctx.host.get(Throughput)
    if meter.enforced:
        meter.admit(table, reads=True)
    data = await ctx.host.store.get(table.space, partition, sort)
    output: dict[str, Any] = {}
    if data is not None:
        projection = prepared.projection
        if projection is None:
            output["Item"] = orjson.Fragment(data[SIZE_BYTES:])
        else:
            output["Item"] = projection.project(values_of(data))
    detail = wanted(input)
    if detail is not None or meter.enforced:
        consumed = Consumed(table, read_units(0 if data is None else size_of(data), bool(input.get("ConsistentRead"))))
        meter.spend(consumed)
        if detail is not None:
            output["ConsumedCapacity"] = consumed.shown(detail, input.get(CALLED))
    return output


@service.operation("PutItem", on_item("PutItem"))
async def put_item(ctx: Context, input: Input) -> Output:
    tables, name = ctx.host.get(Tables), input["TableName"]
    table = tables.ready(ctx.region, name) or await tables.live(ctx.region, name)
    write = put_write(table, input)
    outcome = await run(ctx, write)
    return await _output(ctx, input, write, outcome, outcome.old if input.get("ReturnValues") == "ALL_OLD" else None)


@service.operation("DeleteItem", on_item("DeleteItem"))
async def delete_item(ctx: Context, input: Input) -> Output:
    tables, name = ctx.host.get(Tables), input["TableName"]
    table = tables.ready(ctx.region, name) or await tables.live(ctx.region, name)
    write = delete_write(table, input)
    outcome = await run(ctx, write)
    return await _output(ctx, input, write, outcome, outcome.old if input.get("ReturnValues") == "ALL_OLD" else None)


@service.operation("UpdateItem", on_item("UpdateItem"))
async def update_item(ctx: Context, input: Input) -> Output:
    tables, name = ctx.host.get(Tables), input["TableName"]
    table = tables.ready(ctx.region, name) or await tables.live(ctx.region, name)
    write = update_write(table, input)
    outcome = await run(ctx, write)
    returned: Image | Item | None = None
    kind = input.get("ReturnValues", "NONE")
    if kind != "NONE":
        image = outcome.old if kind.endswith("_OLD") else outcome.new
        if image is not None and kind.startswith("UPDATED"):
            update = input[PREPARED].update
            paths = () if update is None else update.paths if kind == "UPDATED_OLD" else update.written
            returned = projector(paths)(image.item)
        else:
            returned = image
    return await _output(ctx, input, write, outcome, returned or None)


async def run(ctx: Context, write: Write) -> Outcome:
    """One write in a transaction of its own."""
    meter = ctx.host.get(Throughput)
    if not meter.enforced:
        work = writes.perform if not write.table.record.collections else writes.perform_ahead
        try:
            return await ctx.host.store.transact(lambda tx: work(tx, write))
        except StoreBusy:
            raise errors.conflict() from None
    meter.admit_write(write.table)
    write.needs_old = True
    try:
        outcome = await ctx.host.store.transact(lambda tx: writes.perform(tx, write))
    except StoreBusy:
        raise errors.conflict() from None
    except ServiceError as error:
        if error.code == "ConditionalCheckFailedException":
            # A condition that fails costs as much as writing what is there.
            data = await ctx.host.store.get(write.table.space, *write.key)
            meter.spend(Consumed(write.table, write_units(0 if data is None else size_of(data)), reads=False))
        raise
    consumed = Consumed(write.table)
    consumed.add_write(write.key, outcome)
    meter.spend(consumed)
    return outcome


def put_write(table: Table, input: Input) -> Write:
    """The write that PutItem, or a Put of a transaction, asks for."""
    prepared: Prepared = input[PREPARED]
    item: Item = input["Item"]
    key = table.item_key(item)
    table.check_size(item, prepared.size, TOO_LARGE)
    image = Image.of(item, prepared.size)
    return _write(table, input, Write(table, key, lambda old: image, prepared.condition, duplicate=prepared.insert))


def delete_write(table: Table, input: Input) -> Write:
    return _write(table, input, Write(table, table.key(input["Key"]), _nothing, input[PREPARED].condition))


def _nothing(old: Image | None) -> None:
    return None


def update_write(table: Table, input: Input) -> Write:
    """The write that UpdateItem, or an Update of a transaction, asks for."""
    prepared: Prepared = input[PREPARED]
    key_item: Item = input["Key"]
    key = table.key(key_item)
    update = prepared.update
    heads = () if update is None else update.heads
    for name in heads:
        if name in table.key_names:
            table.check_paths(prepared.nested)
            raise errors.invalid(f"Cannot update attribute {name}. This attribute is part of the key")
    if table.indexes and update is not None and (given := update.given(prepared.values)):
        table.check_index_keys(given, updating=isinstance(update, Update))

    def change(old: Image | None) -> Image | None:
        before = key_item if old is None else old.item
        after = dict(key_item) if update is None else update.apply(before, prepared.values)
        if update is None and old is not None:
            return old
        if old is None and update is not None and update.only_removes:
            return None
        if table.indexes:
            table.check_index_keys(after, heads, updating=isinstance(update, Update))
        size = item_size(after) if old is None else old.size - _sizes(before, heads) + _sizes(after, heads)
        table.check_size(after, size, UPDATED_TOO_LARGE)
        return Image.of(after, size)

    return _write(table, input, Write(table, key, change, prepared.condition, needs_old=True))


def _sizes(item: Item, names: tuple[str, ...]) -> int:
    size = 0
    for name in names:
        value = item.get(name)
        if value is not None:
            size += len(name.encode()) + value_size(value)
    return size


def _write(table: Table, input: Input, write: Write) -> Write:
    if input[PREPARED].nested:
        table.check_paths(input[PREPARED].nested)
    write.needs_old = write.needs_old or input.get("ReturnValues") == "ALL_OLD" or wanted(input) is not None
    write.return_old_on_failure = input.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
    return write


async def _output(ctx: Context, input: Input, write: Write, outcome: Outcome, returned: Image | Item | None) -> Output:
    output: dict[str, Any] = {}
    if returned is not None:
        output["Attributes"] = returned.fragment if isinstance(returned, Image) else returned
    if (detail := wanted(input)) is not None:
        consumed = Consumed(write.table)
        consumed.add_write(write.key, outcome)
        output["ConsumedCapacity"] = consumed.shown(detail, input.get(CALLED))
    if input.get("ReturnItemCollectionMetrics") == "SIZE":
        item: Item = input.get("Item") or input["Key"]
        if (metrics := await collection_metrics(ctx.store, write.table, write.key.partition, item)) is not None:
            output["ItemCollectionMetrics"] = metrics
    return output
