"""ExecuteStatement, BatchExecuteStatement and ExecuteTransaction: statements run as the operations on items that they stand for."""

import asyncio
import hashlib
from typing import Any

import orjson

from haar.services.dynamodb import errors, items, queries, transactions
from haar.services.dynamodb.expressions.projections import Compiled as Projection
from haar.services.dynamodb.face import service
from haar.services.dynamodb.limits import ITEM_BYTES, STATEMENT_PARTITION_ROWS
from haar.services.dynamodb.partiql import demands, merge, tokens
from haar.services.dynamodb.partiql.check import in_transaction
from haar.services.dynamodb.partiql.plan import Plan, check_type, plan
from haar.services.dynamodb.partiql.statements import Bound
from haar.services.dynamodb.prepare import PREPARED, Prepared, checked_item
from haar.services.dynamodb.reads import read_pages
from haar.services.dynamodb.tables import Table, Tables, table_name
from haar.services.dynamodb.values import Item
from haar.services.service import Context, Input, Output
from haar.wire.errors import ServiceError

BATCH_CODES = {
    "AccessDenied": "AccessDenied",
    "ConditionalCheckFailedException": "ConditionalCheckFailed",
    "ItemCollectionSizeLimitExceededException": "ItemCollectionSizeLimitExceeded",
    "ProvisionedThroughputExceededException": "ProvisionedThroughputExceeded",
    "ResourceNotFoundException": "ResourceNotFound",
    "TransactionConflictException": "TransactionConflict",
    "ThrottlingException": "ThrottlingError",
    "DuplicateItemException": "DuplicateItem",
    "ValidationException": "ValidationError",
}
NEEDS_KEY = "Select statements within {} must specify the primary key in the where clause."
NO_INDEX = "Reads on indices are not supported within transactions."
OPERATIONS = {"INSERT": items.put_item, "UPDATE": items.update_item, "DELETE": items.delete_item}
KINDS = {"INSERT": "Put", "UPDATE": "Update", "DELETE": "Delete", "EXISTS": "ConditionCheck"}


@service.operation("ExecuteStatement", demands.of_one)
async def execute_statement(ctx: Context, input: Input) -> Output:
    bound: Bound = input[PREPARED]
    if bound.statement.reads:
        return await _select(ctx, input, bound)
    return await _write(ctx, input, bound)


async def _select(ctx: Context, input: Input, bound: Bound) -> Output:
    statement = bound.statement
    name = table_name(ctx, statement.table)
    table, index = await queries.source(ctx, {"TableName": name, "IndexName": statement.index})
    queries.check_source(input, index)
    made = plan(bound, table, index)
    if made.single and input.get("NextToken") is None:
        return await _get(ctx, input, bound, made)
    asked = {
        **input,
        PREPARED: Prepared(condition=made.keep(bound.values), projection=statement.projection, nested=statement.nested),
    }
    spans = made.spans(bound.values, tokens.key_of(ctx, input))
    if len(spans) > 1:
        asked["Limit"] = min(input.get("Limit", STATEMENT_PARTITION_ROWS), STATEMENT_PARTITION_ROWS)
    together = made.merged and len(spans) > 1
    read = merge.reading(made.sorts, made.descending) if together else read_pages
    output = await queries.answer(ctx, asked, table, index, spans, read)
    del output["Count"], output["ScannedCount"]
    if (last := output.get("LastEvaluatedKey")) is not None:
        output["NextToken"] = tokens.made(ctx, input, last)
    return output


async def _get(ctx: Context, input: Input, bound: Bound, made: Plan) -> dict[str, Any]:
    """One item by its key."""
    output = dict(await items.get_item(ctx, {**input, **_got(bound, made)}))
    item = output.pop("Item", None)
    output["Items"] = [] if item is None else [item]
    return output


def _got(bound: Bound, made: Plan) -> Input:
    """The GetItem that a SELECT by primary key stands for. An item that WHERE does not keep is projected to None."""
    statement, keep = bound.statement, made.keep(bound.values)
    key = made.key(bound.values)
    projection = statement.projection
    if keep is not None:
        test, project = keep, None if projection is None else projection.project

        def chosen(item: Item) -> Any:
            return (item if project is None else project(item)) if test(item) else None

        projection = Projection((), chosen, frozenset(), ())
    return {"TableName": made.table.name, "Key": key, PREPARED: Prepared(projection=projection, nested=statement.nested)}


async def _write(ctx: Context, input: Input, bound: Bound) -> dict[str, Any]:
    name = table_name(ctx, bound.statement.table)
    table = await ctx.host.get(Tables).live(ctx.region, name)
    request = _written(bound, table)
    for parameter in ("ReturnConsumedCapacity", "ReturnValuesOnConditionCheckFailure"):
        if parameter in input:
            request[parameter] = input[parameter]
    output = dict(await OPERATIONS[bound.statement.kind](ctx, request))
    returned = output.pop("Attributes", None)
    output["Items"] = [] if returned is None else [returned]
    return output


def _written(bound: Bound, table: Table) -> Input:
    """The PutItem, UpdateItem, DeleteItem or ConditionCheck that a statement stands for."""
    statement = bound.statement
    prepared = Prepared(condition_heads=statement.heads, nested=statement.nested)
    request: Input = {"TableName": table.name, PREPARED: prepared}
    if statement.returning is not None:
        request["ReturnValues"] = statement.returning
    if statement.kind == "INSERT":
        request["Item"] = _inserted(bound, table, prepared)
        return request
    made = plan(bound, table)
    request["Key"] = made.key(bound.values)
    rest = made.keep(bound.values)
    if statement.kind == "DELETE":
        # What is not there is deleted already, whatever else WHERE asks of it.
        prepared.condition = None if rest is None else lambda item: not item or rest(item)
    else:
        prepared.condition = bool if rest is None else lambda item: bool(item) and rest(item)
    if statement.update is not None:
        prepared.update, prepared.values = statement.update, bound.values
    return request


def _inserted(bound: Bound, table: Table, prepared: Prepared) -> Item:
    item: Item = bound.inserted()["M"]
    for part in (table.hash, table.range):
        if part is None:
            continue
        if part.name not in item:
            raise errors.validation(f"Key attribute should be present in the item: Key {part.name}")
        check_type(part, item[part.name])
    prepared.size = checked_item(item)
    if prepared.size > ITEM_BYTES:
        raise errors.validation("Item size has exceeded the maximum allowed size")
    prepared.insert, prepared.condition = True, _nothing_there
    return item


def _nothing_there(item: Item) -> bool:
    return not item


@service.operation("BatchExecuteStatement", demands.of_batch)
async def batch_execute_statement(ctx: Context, input: Input) -> Output:
    detail = input.get("ReturnConsumedCapacity")
    found: list[Bound | ServiceError] = input[PREPARED]
    requests = [request if detail is None else {**request, "ReturnConsumedCapacity": detail} for request in input["Statements"]]
    # At once, so that writes share a sync; each is a transaction of its own.
    done = await asyncio.gather(*(_member(ctx, request, bound) for request, bound in zip(requests, found, strict=True)))
    output: dict[str, Any] = {"Responses": [response for response, _ in done]}
    if detail in ("TOTAL", "INDEXES"):
        output["ConsumedCapacity"] = [capacity for _, capacity in done if capacity is not None]
    return output


async def _member(ctx: Context, request: Input, bound: Bound | ServiceError) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """One statement of a batch: its response, and what it consumed."""
    response: dict[str, Any] = {}
    try:
        if isinstance(bound, ServiceError):
            raise bound
        response["TableName"] = table_name(ctx, bound.statement.table)
        output = await (_batch_get if bound.statement.reads else _write)(ctx, request, bound)
    except ServiceError as error:
        code = BATCH_CODES.get(error.code)
        if code is None:
            raise
        item = {"Item": error.fields["Item"]} if "Item" in error.fields else {}
        response = {"Error": {"Code": code, "Message": error.message, **item}, **response}
        return response, None
    if output["Items"]:
        response["Item"] = output["Items"][0]
    return response, output.get("ConsumedCapacity")


async def _batch_get(ctx: Context, request: Input, bound: Bound) -> dict[str, Any]:
    table = await ctx.host.get(Tables).live(ctx.region, table_name(ctx, bound.statement.table))
    if bound.statement.index is not None or not (made := plan(bound, table)).single:
        raise errors.validation(NEEDS_KEY.format("BatchExecuteStatement"))
    return await _get(ctx, request, bound, made)


@service.operation("ExecuteTransaction", demands.of_transaction)
async def execute_transaction(ctx: Context, input: Input) -> Output:
    found: list[Bound] = input[PREPARED]
    if found[0].statement.reads:
        gets = [{"Get": await _transact_get(ctx, at, bound)} for at, bound in enumerate(found)]
        output = await transactions.transact_get_items(ctx, {**input, "TransactItems": gets})
        responses = [each if each.get("Item") is not None else {} for each in output["Responses"]]
        return {**output, "Responses": responses}
    given = []
    for at, (bound, request) in enumerate(zip(found, input["TransactStatements"], strict=True)):
        table = await ctx.host.get(Tables).live(ctx.region, table_name(ctx, bound.statement.table))
        if bound.statement.kind == "EXISTS":
            _check_exists(at, bound, table)
        action = _written(bound, table)
        if "ReturnValuesOnConditionCheckFailure" in request:
            action["ReturnValuesOnConditionCheckFailure"] = request["ReturnValuesOnConditionCheckFailure"]
        given.append({KINDS[bound.statement.kind]: action})
    output = await transactions.commit(ctx, input, given, _digest(input))
    return {**output, "Responses": [{} for _ in found]}


def _check_exists(at: int, bound: Bound, table: Table) -> None:
    if bound.statement.index is not None:
        raise in_transaction(at, "Operations on indices are not supported in transactions")
    made = plan(bound, table)
    if not made.single or made.test is None:
        raise in_transaction(at, "EXISTS() must contain a single item read with additional condition")


async def _transact_get(ctx: Context, at: int, bound: Bound) -> Input:
    table = await ctx.host.get(Tables).live(ctx.region, table_name(ctx, bound.statement.table))
    if bound.statement.index is not None:
        raise in_transaction(at, NO_INDEX)
    made = plan(bound, table)
    if not made.single:
        raise in_transaction(at, NEEDS_KEY.format("ExecuteTransaction"))
    return _got(bound, made)


def _digest(input: Input) -> bytes:
    """What is asked, for the ClientRequestToken."""
    asked = ["ExecuteTransaction", [[each["Statement"], each.get("Parameters") or []] for each in input["TransactStatements"]]]
    return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).digest()
