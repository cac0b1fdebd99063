"""BatchGetItem and BatchWriteItem."""

from collections.abc import Sequence
from typing import Any

import orjson

from haar.services.dynamodb import access, errors, writes
from haar.services.dynamodb.capacity import Consumed, read_units, shown_all, wanted
from haar.services.dynamodb.collections import collection_metrics
from haar.services.dynamodb.face import service
from haar.services.dynamodb.images import SIZE_BYTES, Image, Key, size_of, values_of
from haar.services.dynamodb.limits import BATCH_GET_BYTES
from haar.services.dynamodb.prepare import PREPARED, Prepared
from haar.services.dynamodb.tables import Table, Tables, table_name
from haar.services.dynamodb.throughput import Throughput
from haar.services.dynamodb.writes import Write
from haar.services.service import Context, Demand, Input, Output
from haar.store.contract import Transaction


async def _get_demands(ctx: Context, input: Input) -> Sequence[Demand]:
    demands = []
    for given, request in input["RequestItems"].items():
        name = table_name(ctx, given)

        def conditions(name: str = name, request: dict[str, Any] = request) -> dict[str, Sequence[str]]:
            keys = access.leading_keys(ctx.host.get(Tables).peek(ctx.region, name), request["Keys"])
            prepared: Prepared = request[PREPARED]
            heads = prepared.projection.heads if prepared.projection is not None else ()
            keys["dynamodb:Attributes"] = sorted({*heads, *(each for key in request["Keys"] for each in key)})
            keys["dynamodb:Select"] = ["SPECIFIC_ATTRIBUTES" if prepared.projection is not None else "ALL_ATTRIBUTES"]
            return keys

        demands.append(await access.demand(ctx, "BatchGetItem", name, conditions))
    return demands


async def _write_demands(ctx: Context, input: Input) -> Sequence[Demand]:
    demands = []
    for given, requests in input["RequestItems"].items():
        name = table_name(ctx, given)

        def conditions(name: str = name, requests: list[dict[str, Any]] = requests) -> dict[str, Sequence[str]]:
            items = [each["PutRequest"]["Item"] if "PutRequest" in each else each["DeleteRequest"]["Key"] for each in requests]
            keys = access.leading_keys(ctx.host.get(Tables).peek(ctx.region, name), items)
            keys["dynamodb:Attributes"] = sorted({attribute for item in items for attribute in item})
            return keys

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
        wants.append((given, table, request, _distinct([(key, table.key(key)) for key in request["Keys"]])))
    meter = ctx.host.get(Throughput)
    throttled = meter.throttled({given: table for given, table, _, _ in wants}, reads=True)
    responses: dict[str, Any] = {}
    unprocessed: dict[str, Any] = {}
    consumed = []
    total = 0
    for given, table, request, keys in wants:
        cost = Consumed(table)
        consistent = bool(request.get("ConsistentRead"))
        project = request[PREPARED].projection
        found: list[Any] = []
        left: list[Any] = []
        for key, (partition, sort) in keys:
            if total >= BATCH_GET_BYTES or given in throttled:
                left.append(key)
                continue
            data = await ctx.store.get(table.space, partition, sort)
            size = 0 if data is None else size_of(data)
            if total + size > BATCH_GET_BYTES:
                left.append(key)
                total = BATCH_GET_BYTES
                continue
            total += size
            cost.own += read_units(size, consistent)
            if data is not None:
                found.append(orjson.Fragment(data[SIZE_BYTES:]) if project is None else project.project(values_of(data)))
        responses[given] = found
        meter.spend(cost)
        consumed.append(cost)
        if left:
            unprocessed[given] = {**{name: value for name, value in request.items() if name != PREPARED}, "Keys": left}
    output: dict[str, Any] = {"Responses": responses, "UnprocessedKeys": unprocessed}
    if detail is not None:
        output["ConsumedCapacity"] = shown_all(consumed, detail)
    return output


def _distinct(keys: list[tuple[Any, Key]]) -> list[tuple[Any, Key]]:
    if len({key for _, key in keys}) != len(keys):
        raise errors.validation("Provided list of item keys contains duplicates")
    return keys


@service.operation("BatchWriteItem", _write_demands)
async def batch_write_item(ctx: Context, input: Input) -> Output:
    detail = wanted(input)
    meter = ctx.host.get(Throughput)
    planned: list[tuple[str, Table, list[tuple[Write, Any]]]] = []
    for given, requests in input["RequestItems"].items():
        table = await ctx.host.get(Tables).live(ctx.region, table_name(ctx, given))
        plan = [_write(table, request, detail is not None or meter.enforced) for request in requests]
        _distinct([(None, write.key) for write, _ in plan])
        planned.append((given, table, plan))

    throttled = meter.throttled({given: table for given, table, _ in planned}, reads=False)
    planned = [each for each in planned if each[0] not in throttled]

    async def run(tx: Transaction) -> list[list[writes.Outcome]]:
        return [[await writes.perform(tx, write) for write, _ in plan] for _, _, plan in planned]

    outcomes = await ctx.store.transact(run)
    unprocessed = {
        given: [{kind: value for kind, value in request.items() if kind != PREPARED} for request in input["RequestItems"][given]]
        for given in throttled
    }
    output: dict[str, Any] = {"UnprocessedItems": unprocessed}
    if detail is not None or meter.enforced:
        consumed = []
        for (_, table, plan), done in zip(planned, outcomes, strict=True):
            cost = Consumed(table)
            for (write, _), outcome in zip(plan, done, strict=True):
                cost.add_write(write.key, outcome.old, outcome.new)
            meter.spend(cost)
            consumed.append(cost)
        if detail is not None:
            output["ConsumedCapacity"] = shown_all(consumed, detail)
    if input.get("ReturnItemCollectionMetrics") == "SIZE":
        metrics = {given: [found for _, item in plan if (found := collection_metrics(table, item))] for given, table, plan in planned}
        output["ItemCollectionMetrics"] = {given: found for given, found in metrics.items() if found}
    return output


def _write(table: Table, request: dict[str, Any], needs_old: bool) -> tuple[Write, Any]:
    put = request.get("PutRequest")
    if put is not None:
        item = put["Item"]
        image = Image.of(item, request[PREPARED].size)
        return Write(table, table.item_key(item), lambda old: image, needs_old=needs_old), item
    key = request["DeleteRequest"]["Key"]
    return Write(table, table.key(key), lambda old: None, needs_old=needs_old), key
