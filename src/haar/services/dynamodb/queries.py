"""Query and Scan."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson

from haar.services.dynamodb import errors, keys
from haar.services.dynamodb.access import on_source
from haar.services.dynamodb.capacity import Consumed, read_units, wanted
from haar.services.dynamodb.expressions.projections import Projection, projector
from haar.services.dynamodb.face import service
from haar.services.dynamodb.images import SIZE_BYTES, size_of, values_of
from haar.services.dynamodb.limits import READ_CHUNK_MOST, READ_CHUNK_ROWS
from haar.services.dynamodb.prepare import CALLED, PREPARED, Prepared
from haar.services.dynamodb.ranges import query_span, start_key
from haar.services.dynamodb.reads import Filter, Page, Reading, Span, read_pages
from haar.services.dynamodb.tables import Index, Table, Tables
from haar.services.dynamodb.throughput import Throughput
from haar.services.service import Context, Input, Output


@service.operation("Query", on_source("Query"))
async def query(ctx: Context, input: Input) -> Output:
    table, index = await source(ctx, input)
    prepared: Prepared = input[PREPARED]
    check_source(input, index)
    assert prepared.keys is not None
    span = query_span(table, index, prepared.keys, input.get("ExclusiveStartKey"), input.get("ScanIndexForward", True) is False)
    if prepared.condition_heads:
        _check_filter(table, index, prepared)
    return await answer(ctx, input, table, index, [span])


def _check_filter(table: Table, index: Index | None, prepared: Prepared) -> None:
    keyed = table.key_names if index is None else [part.name for part in index.parts]
    for name in prepared.condition_heads:
        if name in keyed:
            parameter = "QueryFilter" if prepared.legacy_filter else "Filter Expression"
            raise errors.validation(f"{parameter} can only contain non-primary key attributes: Primary key attribute: {name}")


@service.operation("Scan", on_source("Scan"))
async def scan(ctx: Context, input: Input) -> Output:
    table, index = await source(ctx, input)
    check_source(input, index)
    segment = input.get("Segment")
    start, end = (b"", None) if segment is None else keys.segment(segment, input["TotalSegments"])
    after = None
    if (given := input.get("ExclusiveStartKey")) is not None:
        after = start_key(table, index, given, scan=True)
        if after.partition < start or (end is not None and after.partition >= end):
            raise errors.validation(
                "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. "
                f"TotalSegments: {input['TotalSegments']} Segment: {segment}"
            )
    return await answer(ctx, input, table, index, [Span((index or table).space, None, start, end, after=after)])


async def source(ctx: Context, input: Input) -> tuple[Table, Index | None]:
    """The table, and the index where one is asked for."""
    tables, called = ctx.host.get(Tables), input["TableName"]
    table = tables.ready(ctx.region, called) or await tables.live(ctx.region, called)
    name = input.get("IndexName")
    if name is None:
        return table, None
    index = table.index.get(name)
    if index is None:
        raise errors.validation(f"The table does not have the specified index: {name}")
    if index.record.vector is not None:
        raise errors.validation(f"{ctx.operation} operation not supported on this index type.")
    if index.record.status == "CREATING":
        raise errors.validation(f"Cannot read from backfilling global secondary index: {name}")
    if not index.maintained:
        raise errors.validation(f"The table does not have the specified index: {name}")
    return table, index


def check_source(input: Input, index: Index | None) -> None:
    if index is None or index.local:
        return
    if input.get("ConsistentRead"):
        raise errors.validation("Consistent reads are not supported on global secondary indexes")
    if input.get("Select") == "ALL_ATTRIBUTES" and not index.whole:
        raise errors.invalid(
            f"Select type ALL_ATTRIBUTES is not supported for global secondary index {index.name} because its projection type is not ALL"
        )


async def answer(
    ctx: Context, input: Input, table: Table, index: Index | None, spans: Sequence[Span], read: Reading = read_pages
) -> dict[str, Any]:
    """Reads the spans, one after the other or as `read` has it, as far as one page goes."""
    prepared: Prepared = input[PREPARED]
    consumed = Consumed(table)
    consistent = bool(input.get("ConsistentRead"))
    projection = prepared.projection
    fetching = _needs_base(input, index, prepared)
    if projection is not None and index is not None and not index.local and not index.whole:
        _check_projected(index, projection.heads)
    if prepared.nested:
        table.check_paths(prepared.nested)
    meter = ctx.host.get(Throughput)
    if meter.enforced:
        meter.admit(table, reads=True, index=None if index is None else index.name)
    condition = prepared.condition
    # What the index does not keep can only be filtered when the whole items are there.
    late = condition if fetching and index is not None and not index.attributes.issuperset(prepared.condition_heads) else None
    page = await read(ctx.store, spans, input.get("Limit"), condition if late is None else None)
    detail = wanted(input)
    if detail is not None or meter.enforced:
        units = read_units(page.size, consistent)
        if index is None:
            consumed.own += units
        else:
            consumed.add_index(index.name, units)
    output: dict[str, Any] = {"Count": len(page.rows), "ScannedCount": page.scanned}
    if input.get("Select") != "COUNT":
        project = projection.project if projection else None
        if fetching:
            items = await _fetch(ctx, table, page, late, project, consumed, consistent)
            output |= {"Count": len(items), "Items": items}
        else:
            output["Items"] = await shown(page, project)
    if page.last is not None:
        item = values_of(page.last_row)
        output["LastEvaluatedKey"] = {name: item[name] for name in (table.key_names if index is None else index.key_names)}
    meter.spend(consumed)
    if detail is not None:
        output["ConsumedCapacity"] = consumed.shown(detail, input.get(CALLED))
    return output


async def shown(page: Page, project: Projection | None) -> orjson.Fragment:
    """The items of a page, in slices that let others in; spliced as they are when nothing has to be left out."""
    rows = page.rows
    parts = []
    for at in range(0, len(rows), READ_CHUNK_MOST):
        if at:
            await asyncio.sleep(0)
        some = rows[at : at + READ_CHUNK_MOST]
        if project is None:
            parts.append(b",".join([row[SIZE_BYTES:] for row in some]))
        else:
            parts.append(orjson.dumps([project(values_of(row)) for row in some])[1:-1])
    return orjson.Fragment(b"[" + b",".join(parts) + b"]")


def _needs_base(input: Input, index: Index | None, prepared: Prepared) -> bool:
    """Whether a local index must ask the table for attributes that it does not keep."""
    if index is None or not index.local or index.whole:
        return False
    if input.get("Select") == "ALL_ATTRIBUTES":
        return True
    return prepared.projection is not None and not set(prepared.projection.heads) <= index.attributes


def _check_projected(index: Index, heads: tuple[str, ...]) -> None:
    missing = [name for name in heads if name not in index.attributes]
    if missing:
        raise errors.invalid(f"Global secondary index {index.name} does not project [{', '.join(missing)}]")


async def _fetch(
    ctx: Context, table: Table, page: Page, keep: Filter | None, project: Projection | None, consumed: Consumed, consistent: bool
) -> list[Any]:
    """The whole items behind the entries of a local index; each is a read of its own."""
    found = []
    for at, row in enumerate(page.rows):
        if at and at % READ_CHUNK_ROWS == 0:
            await asyncio.sleep(0)
        key = table.key(projector([(name,) for name in table.key_names])(values_of(row)))
        data = await ctx.store.get(table.space, key.partition, key.sort)
        if data is None:
            continue
        consumed.own += read_units(size_of(data), consistent)
        if keep is not None and not keep(values_of(data)):
            continue
        found.append(orjson.Fragment(data[SIZE_BYTES:]) if project is None else project(values_of(data)))
    return found
