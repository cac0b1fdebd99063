"""Resource policies: who besides the account's own principals may use a function."""

import re
from dataclasses import replace
from typing import Any

import msgspec

from haar.services.iam.public import is_principal
from haar.services.lambda_ import service
from haar.services.lambda_.access import Conditions, named, on_function
from haar.services.lambda_.errors import conflict, invalid, no_alias, no_function, no_policy, not_found, wrong_revision
from haar.services.lambda_.names import LATEST, FunctionName, is_version
from haar.services.lambda_.records import (
    POLICIES,
    Policy,
    encode,
    find_alias,
    find_function,
    find_policy,
    find_version,
    partition,
    put_alias,
    put_function,
    put_version,
)
from haar.services.service import Context, Demand, Input, Output
from haar.store.contract import Reader, Transaction
from haar.wire.errors import ServiceError

MAX_POLICY_BYTES = 20_480
_ACCOUNT = re.compile(r"\d{12}")
_ARN = re.compile(r"arn:aws[a-zA-Z-]*:(iam|sts)::\d{12}:.+")
_SERVICE = re.compile(r"[a-z0-9.-]+\.(amazonaws\.com|amazon\.com|aws\.internal)(\.cn)?")


def statement_of(input: Input, resource: str) -> dict[str, Any]:
    """The statement that AddPermission adds, its members in AWS's order."""
    statement: dict[str, Any] = {
        "Sid": input["StatementId"],
        "Effect": "Allow",
        "Principal": _principal(input["Principal"]),
        "Action": input["Action"],
        "Resource": resource,
    }
    equals: dict[str, str] = {}
    for member, key in (
        ("FunctionUrlAuthType", "lambda:FunctionUrlAuthType"),
        ("SourceAccount", "AWS:SourceAccount"),
        ("EventSourceToken", "lambda:EventSourceToken"),
        ("PrincipalOrgID", "aws:PrincipalOrgID"),
    ):
        if member in input:
            equals[key] = input[member]
    condition: dict[str, dict[str, str]] = {}
    if equals:
        condition["StringEquals"] = equals
    if "SourceArn" in input:
        condition["ArnLike"] = {"AWS:SourceArn": input["SourceArn"]}
    if "InvokedViaFunctionUrl" in input:
        condition["Bool"] = {"lambda:InvokedViaFunctionUrl": str(input["InvokedViaFunctionUrl"]).lower()}
    if condition:
        statement["Condition"] = condition
    return statement


def _principal(principal: str) -> Any:
    if principal == "*":
        return "*"
    if _ACCOUNT.fullmatch(principal):
        return {"AWS": f"arn:aws:iam::{principal}:root"}
    if _ARN.fullmatch(principal):
        return {"AWS": principal}
    if _SERVICE.fullmatch(principal):
        return {"Service": principal}
    raise _no_principal()


def _no_principal() -> ServiceError:
    return invalid("The provided principal was invalid. Please check the principal and try again.")


def _conditions(input: Input) -> Conditions:
    conditions: dict[str, list[str]] = {"lambda:Principal": [input["Principal"]]} if "Principal" in input else {}
    if "FunctionUrlAuthType" in input:
        conditions["lambda:FunctionUrlAuthType"] = [input["FunctionUrlAuthType"]]
    return conditions


async def check_there(reader: Reader, name: FunctionName) -> None:
    """Raises unless the function and its qualifier are there."""
    if name.qualifier == LATEST:
        raise invalid("We currently do not support adding policies for $LATEST.")
    if await find_function(reader, name) is None:
        raise no_function(name.arn)
    if not name.qualifier:
        return
    if is_version(name.qualifier):
        if await find_version(reader, name, name.qualifier) is None:
            raise no_function(name.qualified)
    elif await find_alias(reader, name, name.qualifier) is None:
        raise no_alias(name.qualified)


async def revision_of(reader: Reader, name: FunctionName) -> str:
    """The RevisionId that a policy shows: that of what it belongs to."""
    if not name.qualifier:
        function = await find_function(reader, name)
        return function.latest.revision if function else ""
    found = await (find_version if is_version(name.qualifier) else find_alias)(reader, name, name.qualifier)
    return found.revision if found else ""


async def move_revision(tx: Transaction, name: FunctionName, revision: str) -> None:
    if not name.qualifier:
        if function := await find_function(tx, name):
            function.latest.revision = revision
            put_function(tx, name, function)
    elif is_version(name.qualifier):
        if version := await find_version(tx, name, name.qualifier):
            version.revision = revision
            put_version(tx, name, version)
    elif alias := await find_alias(tx, name, name.qualifier):
        alias.revision = revision
        put_alias(tx, name, alias)


async def check_revision(reader: Reader, name: FunctionName, input: Input, *operations: str) -> None:
    if input.get("RevisionId") and input["RevisionId"] != await revision_of(reader, name):
        raise wrong_revision(*operations)


def check_length(policy: Policy) -> None:
    if (size := len(policy.text().encode())) > MAX_POLICY_BYTES:
        message = f"The final policy size ({size}) is bigger than the limit ({MAX_POLICY_BYTES})."
        raise ServiceError("PolicyLengthExceededException", message, Type="User")


@service.operation("AddPermission", on_function("lambda:AddPermission", _conditions))
async def add_permission(context: Context, input: Input) -> Output:
    name, revision = named(context, input), context.host.ids.uuid()
    statement = statement_of(input, name.qualified)
    if _ARN.fullmatch(input["Principal"]) and not await is_principal(context.host, input["Principal"]):
        raise _no_principal()
    if "FunctionUrlAuthType" in input and input["Action"] != "lambda:InvokeFunctionUrl":
        raise invalid("FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action")

    async def write(tx: Transaction) -> None:
        await check_there(tx, name)
        await check_revision(tx, name, input, "GetPolicy")
        policy = await find_policy(tx, name, name.qualifier) or Policy(statements=[])
        if any(other.get("Sid") == statement["Sid"] for other in policy.statements):
            raise conflict(
                f"The statement id ({statement['Sid']}) provided already exists. Please provide a new statement id, "
                "or remove the existing statement."
            )
        policy.statements.append(statement)
        check_length(policy)
        tx.put(POLICIES, partition(name), name.qualifier.encode(), encode(policy))
        await move_revision(tx, name, revision)

    await context.store.transact(write)
    return {"Statement": msgspec.json.encode(statement).decode()}


_removal = on_function("lambda:RemovePermission")


async def _on_removal(context: Context, input: Input) -> list[Demand]:
    """With what the statement that goes says."""
    name = named(context, input)
    policy = await find_policy(context.store, name, name.qualifier) if name.account == context.account else None
    conditions: dict[str, list[str]] = {}
    for statement in policy.statements if policy is not None else ():
        if statement.get("Sid") == input["StatementId"]:
            principal = statement.get("Principal", "*")
            values = [principal] if isinstance(principal, str) else list(principal.values())
            conditions["lambda:Principal"] = [each for value in values for each in (value if isinstance(value, list) else [value])]
            if auth := statement.get("Condition", {}).get("StringEquals", {}).get("lambda:FunctionUrlAuthType"):
                conditions["lambda:FunctionUrlAuthType"] = [auth]
    return [replace(demand, conditions=conditions) for demand in await _removal(context, input)]


@service.operation("RemovePermission", _on_removal)
async def remove_permission(context: Context, input: Input) -> Output:
    name, revision, sid = named(context, input), context.host.ids.uuid(), input["StatementId"]

    async def write(tx: Transaction) -> None:
        if await find_function(tx, name) is None:
            raise not_found(f"No policy found for: {name.arn}")
        await check_there(tx, name)
        policy = await find_policy(tx, name, name.qualifier)
        if policy is None:
            raise not_found("No policy is associated with the given resource.")
        await check_revision(tx, name, input)
        rest = [statement for statement in policy.statements if statement.get("Sid") != sid]
        if len(rest) == len(policy.statements):
            raise not_found(f"Statement {sid} is not found in resource policy.")
        policy.statements = rest
        if rest:
            tx.put(POLICIES, partition(name), name.qualifier.encode(), encode(policy))
        else:
            tx.delete(POLICIES, partition(name), name.qualifier.encode())
        await move_revision(tx, name, revision)

    await context.store.transact(write)
    return {}


@service.operation("GetPolicy", on_function("lambda:GetPolicy"))
async def get_policy(context: Context, input: Input) -> Output:
    name = named(context, input)
    if await find_function(context.store, name) is None:
        raise no_function(name.arn)
    policy = await find_policy(context.store, name, "" if name.qualifier == LATEST else name.qualifier)
    if policy is None:
        raise no_policy()
    return {"Policy": policy.text(), "RevisionId": await revision_of(context.store, name)}
