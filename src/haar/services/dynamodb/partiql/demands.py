"""What statements demand of policies: each by itself, by its own action.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-iam.html
"""

from collections.abc import Sequence
from functools import partial

from haar.services.dynamodb import access
from haar.services.dynamodb.partiql import check
from haar.services.dynamodb.partiql.plan import Plan, plan
from haar.services.dynamodb.partiql.statements import Bound
from haar.services.dynamodb.prepare import PREPARED
from haar.services.dynamodb.tables import Table, table_name
from haar.services.dynamodb.values import Item
from haar.services.service import Context, Demand, Input
from haar.wire.errors import ServiceError

ACTIONS = {
    "SELECT": "PartiQLSelect",
    "EXISTS": "PartiQLSelect",
    "INSERT": "PartiQLInsert",
    "UPDATE": "PartiQLUpdate",
    "DELETE": "PartiQLDelete",
}


async def of_one(ctx: Context, input: Input) -> Sequence[Demand]:
    """Keeps the statement with the input, as the others do."""
    input[PREPARED] = bound = await check.statement(input)
    return (await _demand(ctx, bound, "", input),)


async def of_batch(ctx: Context, input: Input) -> Sequence[Demand]:
    """A statement that is not allowed does not keep the others from running; when none is, the batch is refused."""
    input[PREPARED] = found = await check.batch(input)
    readable = {at: bound for at, bound in enumerate(found) if isinstance(bound, Bound)}
    allowed = set(readable)

    def denied(at: int, refusal: ServiceError) -> None:
        found[at] = refusal
        allowed.discard(at)
        if not allowed:
            raise refusal

    demands = []
    for at, bound in readable.items():
        demand = await _demand(ctx, bound, "", input["Statements"][at])
        demand.denied = partial(denied, at)
        demands.append(demand)
    return demands


async def of_transaction(ctx: Context, input: Input) -> Sequence[Demand]:
    input[PREPARED] = found = await check.transaction(input)
    return [await _demand(ctx, bound, "ExecuteTransaction", given) for bound, given in zip(found, input["TransactStatements"], strict=True)]


async def _demand(ctx: Context, bound: Bound, enclosing: str, given: Input) -> Demand:
    on_failure = given.get("ReturnValuesOnConditionCheckFailure")
    statement = bound.statement
    name = table_name(ctx, statement.table)
    return await access.demand(ctx, ACTIONS[statement.kind], name, partial(_conditions, bound, enclosing, on_failure), statement.index)


def _conditions(bound: Bound, enclosing: str, on_failure: str | None, table: Table | None) -> dict[str, Sequence[str]]:
    statement = bound.statement
    keys: dict[str, Sequence[str]] = {}
    attributes = set(statement.heads)
    if enclosing:
        keys["dynamodb:EnclosingOperation"] = [enclosing]
    if statement.kind == "INSERT":
        item: Item = bound.inserted()["M"]
        attributes.update(item)
        keys.update(access.leading_keys(table, [item]))
    else:
        made = _plan(bound, table)
        if made is not None and made.hashes:
            values = [sorted({str(next(iter(bound.values[each].values()))) for each in given}) for given in made.hashes.values()]
            keys.update(access.partition_keys(values))
        if statement.kind in ("SELECT", "EXISTS"):
            keys["dynamodb:FullTableScan"] = ["false" if made is not None and made.hashes else "true"]
    if statement.projection is not None:
        attributes.update(statement.projection.heads)
    if statement.update is not None:
        attributes.update(statement.update.accessed)
    if statement.kind in ("SELECT", "EXISTS"):
        everything = "ALL_ATTRIBUTES" if statement.index is None else "ALL_PROJECTED_ATTRIBUTES"
        keys["dynamodb:Select"] = ["SPECIFIC_ATTRIBUTES" if statement.projection is not None else everything]
    if statement.kind in ("UPDATE", "DELETE"):
        keys["dynamodb:ReturnValues"] = access.returned(statement.returning, on_failure)
    keys["dynamodb:Attributes"] = sorted(attributes)
    return keys


def _plan(bound: Bound, table: Table | None) -> Plan | None:
    """How the statement finds its items; None when it cannot, which it says once it is allowed."""
    if table is None:
        return None
    index = bound.statement.index
    if index is not None and index not in table.index:
        return None
    try:
        return plan(bound, table, None if index is None else table.index[index])
    except ServiceError:
        return None
