"""Resource policies that are put whole, and so replace what AddPermission has added; AddPermission adds to them."""

from collections.abc import Awaitable, Callable

import orjson

from haar.policy.errors import PolicyError
from haar.policy.validate import validate_resource_policy
from haar.services.lambda_ import service
from haar.services.lambda_.access import on_function
from haar.services.lambda_.errors import invalid, no_policy, refused
from haar.services.lambda_.names import FunctionName, parse_name
from haar.services.lambda_.permissions import check_length, check_revision, check_there, move_revision, revision_of
from haar.services.lambda_.records import POLICIES, Policy, encode, find_policy, partition
from haar.services.service import Context, Demand, Input, Output, not_locking_out
from haar.store.contract import Transaction


def _on_resource(action: str) -> Callable[[Context, Input], Awaitable[list[Demand]]]:
    demands = on_function(action)

    async def on_resource(context: Context, input: Input) -> list[Demand]:
        return await demands(context, {"FunctionName": input["ResourceArn"]})

    return on_resource


async def _on_deletion(context: Context, input: Input) -> list[Demand]:
    return not_locking_out(context.principal, context.account, await _on_resource("lambda:DeleteResourcePolicy")(context, input))


def _named(context: Context, input: Input) -> FunctionName:
    if ":function:" not in input["ResourceArn"]:
        raise refused("runtimes of one's own")
    return parse_name(input["ResourceArn"], context.region, context.account)


def _parsed(text: str) -> Policy:
    """Raises InvalidParameterValueException."""
    try:
        validate_resource_policy(text)
    except PolicyError as error:
        raise invalid(f"The resource policy is not valid: {error}") from None
    document = orjson.loads(text)
    statements = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    return Policy(statements=statements, version=document.get("Version", "2008-10-17"), id=document.get("Id", ""))


@service.operation("PutResourcePolicy", _on_resource("lambda:PutResourcePolicy"))
async def put_resource_policy(context: Context, input: Input) -> Output:
    name, policy, revision = _named(context, input), _parsed(input["Policy"]), context.host.ids.uuid()
    check_length(policy)

    async def write(tx: Transaction) -> None:
        await check_there(tx, name)
        await check_revision(tx, name, input, "GetResourcePolicy")
        tx.put(POLICIES, partition(name), name.qualifier.encode(), encode(policy))
        await move_revision(tx, name, revision)

    await context.store.transact(write)
    return {"Policy": policy.text(), "RevisionId": revision}


@service.operation("GetResourcePolicy", _on_resource("lambda:GetResourcePolicy"))
async def get_resource_policy(context: Context, input: Input) -> Output:
    name = _named(context, input)
    await check_there(context.store, name)
    policy = await find_policy(context.store, name, name.qualifier)
    if policy is None:
        raise no_policy()
    return {"Policy": policy.text(), "RevisionId": await revision_of(context.store, name)}


@service.operation("DeleteResourcePolicy", _on_deletion)
async def delete_resource_policy(context: Context, input: Input) -> Output:
    name, revision = _named(context, input), context.host.ids.uuid()

    async def write(tx: Transaction) -> None:
        await check_there(tx, name)
        if await find_policy(tx, name, name.qualifier) is None:
            raise no_policy()
        await check_revision(tx, name, input, "GetResourcePolicy")
        tx.delete(POLICIES, partition(name), name.qualifier.encode())
        await move_revision(tx, name, revision)

    await context.store.transact(write)
    return {}
