"""PutResourcePolicy, GetResourcePolicy, DeleteResourcePolicy: on tables (and so on their indexes), and on streams.

A table's policy is in its record and so in memory with it; a stream has one of its own.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/access-control-resource-based.html
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import orjson

from haar.policy.actions import find_action
from haar.policy.errors import PolicyError
from haar.policy.validate import validate_resource_policy
from haar.services.dynamodb import errors, records, streams
from haar.services.dynamodb.access import demand
from haar.services.dynamodb.face import service
from haar.services.dynamodb.limits import POLICY_BYTES
from haar.services.dynamodb.streams import Streams
from haar.services.dynamodb.tables import Tables
from haar.services.iam.public import decide
from haar.services.service import Context, Demand, Input, Output, not_locking_out
from haar.store.contract import Transaction
from haar.wire.errors import ServiceError

NO_POLICY = "NO_POLICY"
"""ExpectedRevisionId of who expects that there is none."""
Document = dict[str, Any]


class Resource(NamedTuple):
    """What an ARN names."""

    arn: str
    table: str
    label: str | None
    """The stream's; None for the table itself."""


class Held(NamedTuple):
    """A policy and its revision."""

    policy: str | None
    revision: str


def parse(ctx: Context, arn: str) -> Resource:
    """Raises ValidationException for what is not the ARN of a table or stream here."""
    if not arn.startswith("arn:"):
        raise errors.invalid(f"ARNs must start with 'arn:': {arn}")
    parts = arn.split(":", 5)
    named = parts[5].split("/", 3) if len(parts) == 6 else []
    if len(parts) < 6 or parts[2] != "dynamodb" or len(named) not in (2, 4) or named[0] != "table" or not named[1]:
        raise errors.invalid(f"Provided Arn is not a DynamoDB resource arn: {arn}")
    if len(named) == 4 and named[2] not in ("stream", "index"):
        raise errors.invalid(f"Provided Arn is not a DynamoDB resource arn: {arn}")
    if len(named) == 4 and named[2] == "index":
        raise errors.invalid(f"Invalid resource arn provided, only table or stream is accepted. Provided resource arn: {arn}")
    if parts[1] != "aws" or parts[3] != ctx.region:
        raise errors.invalid(f"Invalid resource Arn: {arn}")
    if parts[4] != ctx.account:
        raise errors.validation("This action is only supported by accounts that match the resource owner\u2019s account.")
    return Resource(arn, named[1], named[3] if len(named) == 4 else None)


def on_resource(action: str) -> Callable[[Context, Input], Any]:
    async def demands(ctx: Context, input: Input) -> Sequence[Demand]:
        resource = parse(ctx, input["ResourceArn"])
        if resource.label is None:
            return (await demand(ctx, action, resource.table),)
        stream = await ctx.host.get(Streams).find(ctx.region, resource.table, resource.label)
        return (Demand(f"dynamodb:{action}", resource.arn, resource_policy=None if stream is None else stream.policy),)

    return demands


async def _on_deletion(ctx: Context, input: Input) -> Sequence[Demand]:
    return not_locking_out(ctx.principal, ctx.account, await on_resource("DeleteResourcePolicy")(ctx, input))


def checked(ctx: Context, resource: Resource, text: str) -> str:
    """The policy as it is kept. Raises ValidationException for one that cannot be."""
    if len(text.encode()) > POLICY_BYTES:
        raise errors.invalid(f"Maximum policy size of {POLICY_BYTES} bytes exceeded")
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise _malformed("This policy contains invalid Json")
    given = document.get("Statement")
    statements: list[Document] = given if isinstance(given, list) else [given] if isinstance(given, dict) else []
    if not statements:
        raise _malformed("Could not parse the policy: Statement is empty!")
    for statement in statements:
        _check_statement(statement, resource)
    sids = [statement["Sid"] for statement in statements if statement.get("Sid")]
    if len(sids) != len(set(map(str, sids))):
        raise _malformed("The Statement Ids in the policy are not unique")
    try:
        validate_resource_policy(text)
    except PolicyError as error:
        if "principal" in str(error).lower():
            raise errors.invalid("Invalid principal in policy document.") from None
        raise _malformed(str(error)) from None
    if any(_unbounded(statement) for statement in statements):
        raise errors.validation(
            "Resource-based policy grants unbounded access in one or more elements. "
            "Please revise the policy to ensure least-privilege form of access"
        )
    return orjson.dumps(document).decode()


def _malformed(why: str) -> ServiceError:
    return errors.invalid(f"Invalid policy document: {why}")


def _check_statement(statement: Any, resource: Resource) -> None:
    if not isinstance(statement, dict):
        raise _malformed("Could not parse the policy: Statement is empty!")
    for name in ("Effect", "Principal", "Action", "Resource"):
        if name not in statement and "Not" + name not in statement:
            raise _malformed(f"Missing required field {name}")
    wrong = [action for action in _strings(statement.get("Action")) if not _applies(action, resource)]
    if wrong:
        shown = ", ".join(f'"{action}"' for action in wrong)
        raise _malformed(f"The following action names are invalid: {shown}")
    for arn in _strings(statement.get("Resource")):
        relative = arn.split(":", 5)[5] if arn.count(":") >= 5 else ""
        if relative and ("/stream/" in relative) != (resource.label is not None) and "*" not in relative:
            raise _malformed(f'The relative-id "{relative}" is invalid for ARN "{resource.arn}"')


def _applies(action: str, resource: Resource) -> bool:
    """Whether the action can be on such a resource; wildcards can."""
    if "*" in action or "?" in action:
        return True
    known = find_action(action)
    wanted = ("table", "index") if resource.label is None else ("stream",)
    return known is not None and any(kind.name in wanted for kind in known.resource_types)


def _strings(value: Any) -> list[str]:
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)]


def _unbounded(statement: Document) -> bool:
    """Whether it lets everybody in, whoever and from wherever."""
    principal = statement.get("Principal")
    everybody = principal == "*" or (isinstance(principal, dict) and "*" in _strings(principal.get("AWS")))
    return statement.get("Effect") == "Allow" and not statement.get("Condition") and (everybody or "NotPrincipal" in statement)


async def check_lockout(ctx: Context, arn: str, policy: str) -> None:
    """Raises AccessDeniedException when the caller could not change the policy again."""
    decision = await decide(ctx.host, ctx.principal, Demand("dynamodb:PutResourcePolicy", arn, resource_policy=policy), {})
    if not decision.allowed:
        raise errors.access_denied("The new resource policy will not allow you to update the resource policy in the future.")


def new_revision(ctx: Context, before: str = "") -> str:
    return str(max(int(ctx.now() * 1000), int(before or "0") + 1))


async def _read(tx: Transaction, ctx: Context, resource: Resource) -> tuple[tuple[str, bytes, bytes], Any]:
    """The record that holds the policy, and its place. Raises ResourceNotFoundException."""
    if resource.label is None:
        place = records.place(ctx.region, resource.table)
        data = await tx.get(*place)
        record = None if data is None else records.decode(data)
        if record is None or record.status == "CREATING":
            raise errors.table_not_found(resource.table)
        return place, record
    place = records.stream_place(ctx.region, resource.table, resource.label)
    data = await tx.get(*place)
    stream = None if data is None else streams.decode(data)
    if stream is None or not streams.readable(stream, ctx.now()):
        raise _no_stream(resource)
    return place, stream


def _no_stream(resource: Resource) -> ServiceError:
    missing = f"Requested resource not found: Stream: {resource.label} not found for Table: {resource.table}"
    return ServiceError("ResourceNotFoundException", missing)


def no_policy(why: str) -> ServiceError:
    return ServiceError("PolicyNotFoundException", f"Resource-based policy not found for the provided ResourceArn: {why}")


def _check_expected(resource: Resource, held: Held, expected: str | None) -> None:
    if expected is None:
        return
    if expected == NO_POLICY:
        if held.policy is not None:
            raise no_policy(
                f"Requested policy update expecting none to be present for table {resource.table}, "
                f"but a policy exists with revision id {held.revision}."
            )
    elif held.policy is None:
        raise no_policy(
            f"Requested update for policy with revision id {expected}, but no policy is associated to target table {resource.table}."
        )
    elif expected != held.revision:
        raise no_policy(
            f"Requested update for policy with revision id {expected}, "
            f"but the policy associated to target table {resource.table} has revision id {held.revision}."
        )


async def _write(ctx: Context, resource: Resource, policy: str | None, expected: str | None) -> str:
    """Puts or takes away the policy; the revision that is now, or was."""

    async def run(tx: Transaction) -> str:
        place, record = await _read(tx, ctx, resource)
        _check_expected(resource, Held(record.policy, record.policy_revision), expected)
        revision: str = record.policy_revision
        if policy == record.policy:
            return revision if policy is not None else ""
        record.policy = policy
        if policy is not None:
            record.policy_revision = new_revision(ctx, revision)
        tx.put(*place, msgspec.msgpack.encode(record))
        return revision if policy is None else str(record.policy_revision)

    return await ctx.store.transact(run)


@service.operation("PutResourcePolicy", on_resource("PutResourcePolicy"))
async def put_resource_policy(ctx: Context, input: Input) -> Output:
    resource = parse(ctx, input["ResourceArn"])
    policy = checked(ctx, resource, input["Policy"])
    if not input.get("ConfirmRemoveSelfResourceAccess"):
        await check_lockout(ctx, resource.arn, policy)
    return {"RevisionId": await _write(ctx, resource, policy, input.get("ExpectedRevisionId"))}


@service.operation("DeleteResourcePolicy", _on_deletion)
async def delete_resource_policy(ctx: Context, input: Input) -> Output:
    revision = await _write(ctx, parse(ctx, input["ResourceArn"]), None, input.get("ExpectedRevisionId"))
    return {"RevisionId": revision} if revision else {}


@service.operation("GetResourcePolicy", on_resource("GetResourcePolicy"))
async def get_resource_policy(ctx: Context, input: Input) -> Output:
    resource = parse(ctx, input["ResourceArn"])
    held = await _held(ctx, resource)
    if held.policy is None:
        raise no_policy(resource.arn)
    return {"Policy": held.policy, "RevisionId": held.revision}


async def _held(ctx: Context, resource: Resource) -> Held:
    if resource.label is None:
        table = await ctx.host.get(Tables).find(ctx.region, resource.table)
        if table is None or table.record.status == "CREATING":
            raise errors.table_not_found(resource.table)
        return Held(table.record.policy, table.record.policy_revision)
    stream = await ctx.host.get(Streams).find(ctx.region, resource.table, resource.label)
    if stream is None:
        raise _no_stream(resource)
    return Held(stream.policy, stream.policy_revision)
