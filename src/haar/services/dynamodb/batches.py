"""BatchGetItem and BatchWriteItem."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from haar.services.dynamodb import access, errors, writes
from haar.services.dynamodb.capacity import Consumed, read_units, shown_all, wanted
from haar.services.dynamodb.collections import collection_metrics
from haar.services.dynamodb.face import service
from haar.services.dynamodb.images import SIZE_BYTES, Image, Key, size_of, values_of
from haar.services.dynamodb.limits import BATCH_GET_BYTES, SLICE_BYTES
from haar.services.dynamodb.prepare import PREPARED, Prepared, batch_get, batch_write, gradually
from haar.services.dynamodb.tables import Table, Tables, table_name
from haar.services.dynamodb.throughput import Throughput
from haar.services.dynamodb.values import TOO_LARGE, Item
from haar.services.dynamodb.writes import Outcome, Write
from haar.services.service import Context, Demand, Input, Output
from haar.store.contract import Transaction

KEYS_AT_ONCE = 25
"""Items that are read together: up to 10 MB."""


class Planned(NamedTuple):
    """One write of a batch."""

    given: str
    """How the request calls its table."""
    write: Write
    item: Item
    """The item, or the key of the item that is deleted."""
    size: int


async def _get_demands(ctx: Context, input: Input) -> Sequence[Demand]:
    await gradually(ctx, input, batch_get(input))
    demands = []
    for given, request in input["RequestItems"].items():
        name = table_name(ctx, given)

        def conditions(table: Table | None, request: dict[str, Any] = request) -> dict[str, Sequence[str]]:
            keys = access.leading_keys(table, request["Keys"])
            prepared: Prepared = request[PREPARED]
            heads = prepared.projection.heads if prepared.projection is not None else ()
            keys["dynamodb:Attributes"] = sorted({*heads, *(each for key in request["Keys"] for each in key)})
            keys["dynamodb:Select"] = ["SPECIFIC_ATTRIBUTES" if prepared.projection is not None else "ALL_ATTRIBUTES"]
            return keys | access.capacity_condition(input)

        demands.append(await access.demand(ctx, "BatchGetItem", name, conditions))
    return demands


async def _write_demands(ctx: Context, input: Input) -> Sequence[Demand]:
    await gradually(ctx, input, batch_write(input))
    demands = []
    for given, requests in input["RequestItems"].items():
        name = table_name(ctx, given)

        def conditions(table: Table | None, requests: list[dict[str, Any]] = requests) -> dict[str, Sequence[str]]:
            items = [each["PutRequest"]["Item"] if "PutRequest" in each else each["DeleteRequest"]["Key"] for each in requests]
            keys = access.leading_keys(table, items)
            keys["dynamodb:Attributes"] = sorted({attribute for item in items for attribute in item})
            return keys | access.capacity_condition(input)

        demands.append(await access.demand(ctx, "BatchWriteItem", name, conditions))
    return demands


@service.operation("BatchGetItem", _get_demands)
async def batch_get_item(ctx: Context, input: Input) -> Output:
    detail = wanted(input)
    wants: list[tuple[str, Table, dict[str, Any], list[tuple[Any, Key]]]] = []
    for given, request in input["RequestItems"].items():
        table = await ctx.host.get(Tables).live(ctx.region, table_name(ctx, given))
        if request[PREPARED].nested:
            table.check_paths(request[PREPARED].nested)
        wants.append((given, table, request, [(key, table.key(key)) for key in request["Keys"]]))
    _check_distinct([(table.space, key) for _, table, _, keys in wants for _, key in keys])
    meter = ctx.host.get(Throughput)
    throttled = meter.throttled({given: table for given, table, _, _ in wants}, reads=True)
    responses: dict[str, Any] = {}
    unprocessed: dict[str, Any] = {}
    consumed: dict[str, Consumed] = {}
    total = 0
    for given, table, request, keys in wants:
        cost = consumed[given] = Consumed(table)
        consistent = bool(request.get("ConsistentRead"))
        project = request[PREPARED].projection
        found: list[Any] = []
        left: list[Any] = []
        for begin in range(0, len(keys), KEYS_AT_ONCE):
            part = keys[begin : begin + KEYS_AT_ONCE]
            if total >= BATCH_GET_BYTES or given in throttled:
                left += [key for key, _ in part]
                continue
            rows = await ctx.store.get_many([(table.space, *place) for _, place in part])
            for (key, _), data in zip(part, rows, strict=True):
                size = 0 if data is None else size_of(data)
                if total >= BATCH_GET_BYTES or total + size > BATCH_GET_BYTES:
                    left.append(key)
                    total = BATCH_GET_BYTES
                    continue
                if (total + size) // SLICE_BYTES > total // SLICE_BYTES:
                    await asyncio.sleep(0)
                total += size
                cost.own += read_units(size, consistent)
                if data is not None:
                    found.append(orjson.Fragment(data[SIZE_BYTES:]) if project is None else project.project(values_of(data)))
        responses[given] = found
        meter.spend(cost)
        if left:
            unprocessed[given] = {**{name: value for name, value in request.items() if name != PREPARED}, "Keys": left}
    output: dict[str, Any] = {"Responses": responses, "UnprocessedKeys": unprocessed}
    if detail is not None:
        output["ConsumedCapacity"] = shown_all(consumed, detail)
    return output


def _check_distinct(keys: list[tuple[str, Key]]) -> None:
    """Of all tables together: one may be called by its name and by its ARN."""
    if len(set(keys)) != len(keys):
        raise errors.validation("Provided list of item keys contains duplicates")


@service.operation("BatchWriteItem", _write_demands)
async def batch_write_item(ctx: Context, input: Input) -> Output:
    detail = wanted(input)
    meter = ctx.host.get(Throughput)
    tables: dict[str, Table] = {}
    planned: list[Planned] = []
    for given, requests in input["RequestItems"].items():
        table = tables[given] = await ctx.host.get(Tables).live(ctx.region, table_name(ctx, given))
        planned += [_planned(given, table, request, detail is not None or meter.enforced) for request in requests]
    _check_distinct([(each.write.table.space, each.write.key) for each in planned])

    throttled = meter.throttled(tables, reads=False)
    if throttled:
        planned = [each for each in planned if each.given not in throttled]
    outcomes = await _perform(ctx, planned)
    unprocessed = {
        given: [{kind: value for kind, value in request.items() if kind != PREPARED} for request in input["RequestItems"][given]]
        for given in throttled
    }
    output: dict[str, Any] = {"UnprocessedItems": unprocessed}
    if detail is not None or meter.enforced:
        consumed = {given: Consumed(table) for given, table in tables.items() if given not in throttled}
        for each, outcome in zip(planned, outcomes, strict=True):
            consumed[each.given].add_write(each.write.key, outcome)
        for cost in consumed.values():
            meter.spend(cost)
        if detail is not None:
            output["ConsumedCapacity"] = shown_all(consumed, detail)
    if input.get("ReturnItemCollectionMetrics") == "SIZE":
        metrics: dict[str, list[Any]] = {}
        for each in planned:
            found = await collection_metrics(ctx.store, each.write.table, each.write.key.partition, each.item)
            if found is not None and found not in metrics.setdefault(each.given, []):
                metrics[each.given].append(found)
        output["ItemCollectionMetrics"] = metrics
    return output


async def _perform(ctx: Context, planned: list[Planned]) -> list[Outcome]:
    """Does the writes in one transaction, or in one for each slice of a large batch: a batch is not atomic, its writes are."""
    slices: list[list[Write]] = [[]]
    size = 0
    for each in planned:
        if size > SLICE_BYTES:
            slices.append([])
            size = 0
        slices[-1].append(each.write)
        size += each.size
    if len(slices) == 1:
        return await _together(ctx, slices[0])
    running = []
    for part in slices:
        running.append(asyncio.ensure_future(_together(ctx, part)))
        await asyncio.sleep(0)
    return [outcome for done in await asyncio.gather(*running) for outcome in done]


async def _together(ctx: Context, wanted: list[Write]) -> list[Outcome]:
    rows = [row for write in wanted for row in write.rows]

    async def run(tx: Transaction) -> list[Outcome]:
        await tx.ahead(rows)
        return [await writes.perform(tx, write) for write in wanted]

    return await ctx.store.transact(run)


def _planned(given: str, table: Table, request: dict[str, Any], needs_old: bool) -> Planned:
    put = request.get("PutRequest")
    if put is None:
        key = request["DeleteRequest"]["Key"]
        return Planned(given, Write(table, table.key(key), _nothing, needs_old=needs_old), key, 0)
    item, size = put["Item"], request[PREPARED].size
    table.check_size(item, size, TOO_LARGE)
    # A batch tells of a wrong key as of the keys that it deletes, where PutItem says what is wrong with it.
    key = table.key({name: item[name] for name in table.key_names if name in item})
    table.check_index_keys(item)
    # The image is made when it is written, not before: the items of a batch may be large together.
    return Planned(given, Write(table, key, lambda old: Image.of(item, size), needs_old=needs_old), item, size)


def _nothing(old: Image | None) -> None:
    return None
