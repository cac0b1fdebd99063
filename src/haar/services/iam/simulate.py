"""The policy simulator: what the engine would decide, without asking for it.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from haar.policy.decision import AccessRequest, Decision, Match
from haar.policy.errors import PolicyError
from haar.policy.evaluate import evaluate
from haar.policy.validate import validate_resource_policy
from haar.services.iam import errors
from haar.services.iam.demands import anywhere
from haar.services.iam.documents import Compiler, check_identity_policy
from haar.services.iam.entities import find_holder, missing
from haar.services.iam.paging import page
from haar.services.iam.positions import position, statement_spans
from haar.services.iam.records import Group, Holder, Role, User
from haar.services.iam.service import service
from haar.services.iam.subjects import Source, boundary_of, sources
from haar.services.service import Context, Demand, Host, Input, Output
from haar.wire.errors import ServiceError

ACTION = re.compile(r"[A-Za-z0-9-]+:[A-Za-z0-9]+")
HOLDER_ARN = re.compile(r"arn:aws:iam::(\d{12}):(user|group|role)(?:/|/[!-~]+/)([\w+=,.@-]+)")
KINDS: dict[str, type[Holder]] = {"user": User, "group": Group, "role": Role}
IDENTITY_TYPE, RESOURCE_TYPE = "IAM Policy", "Resource Policy"
RESOURCE_POLICY = "ResourcePolicy"
MAX_BOUNDARIES = 1
SLICE = 20
"""Evaluations before others are let in."""


@dataclass(slots=True)
class Simulation:
    """Whose policies are asked, and in which circumstances."""

    identity: list[Source]
    boundary: Source | None = None
    resource: Source | None = None
    owner: str = ""
    principal_arn: str = ""
    kind: str = "user"
    role_arn: str = ""
    context: dict[str, Sequence[str]] = field(default_factory=dict)

    def by_key(self) -> dict[str, Source]:
        found = [*self.identity, *(source for source in (self.boundary, self.resource) if source is not None)]
        return {source.key: source for source in found}


async def need_holder(ctx: Context, arn: str) -> Holder:
    """The user, group or role of an ARN; raises InvalidInput, NoSuchEntity."""
    match = HOLDER_ARN.fullmatch(arn)
    if match is None or match[1] != ctx.account:
        raise errors.invalid_input(f"Invalid Entity Arn: {arn} does not clearly define entity type and name.")
    holder = await find_holder(ctx.store, match[2], match[3])
    if holder is None or holder.arn(ctx.account) != arn:
        raise missing(KINDS[match[2]], match[3])
    return holder


def on_source(ctx: Context, input: Input) -> list[Demand]:
    return [Demand(f"iam:{ctx.operation}", input["PolicySourceArn"])]


@service.operation("SimulateCustomPolicy", anywhere)
async def simulate_custom_policy(ctx: Context, input: Input) -> Output:
    simulation = Simulation(_given(input["PolicyInputList"]))
    return await _run(ctx, simulation, input)


@service.operation("SimulatePrincipalPolicy", on_source)
async def simulate_principal_policy(ctx: Context, input: Input) -> Output:
    holder = await need_holder(ctx, input["PolicySourceArn"])
    simulation = Simulation(await sources(ctx.host, holder) + _given(input.get("PolicyInputList", ())))
    simulation.boundary = await boundary_of(ctx.host, holder)
    simulation.context = {f"aws:PrincipalTag/{key}": [value] for key, value in holder.tags.items()}
    if isinstance(holder, Role):
        simulation.kind, simulation.role_arn = "assumed-role", holder.arn(ctx.account)
        simulation.principal_arn = holder.arn(ctx.account)
    elif isinstance(holder, User):
        _as_user(ctx.host, simulation, holder)
    caller = input.get("CallerArn")
    if caller and caller != input["PolicySourceArn"]:
        user = await need_holder(ctx, caller)
        if not isinstance(user, User):
            raise errors.invalid_input(f"Invalid value provided for caller: {caller}. The caller must be the ARN of an IAM user.")
        _as_user(ctx.host, simulation, user)
    return await _run(ctx, simulation, input)


def _as_user(host: Host, simulation: Simulation, user: User) -> None:
    simulation.kind, simulation.principal_arn, simulation.role_arn = "user", user.arn(host.account), ""
    simulation.context |= {"aws:username": [user.name], "aws:userid": [user.id], "aws:PrincipalType": ["User"]}


def _given(documents: Sequence[str]) -> list[Source]:
    for document in documents:
        check_given(document)
    return [Source(f"PolicyInputList.{number}", document) for number, document in enumerate(documents, 1)]


def check_given(document: str) -> None:
    """Raises InvalidInput, as operations do that store nothing."""
    try:
        check_identity_policy(document)
    except ServiceError as error:
        raise errors.invalid_input(f"Invalid policy document: {error.message}") from None


def _prepare(ctx: Context, simulation: Simulation, input: Input) -> None:
    """What both simulators take besides policies."""
    errors.refuse_unbuilt(input, "OrderedOrganizationPolicyInputList", "PolicyExclusionList", "ResourceHandlingOption")
    if boundaries := input.get("PermissionsBoundaryPolicyInputList"):
        if len(boundaries) > MAX_BOUNDARIES:
            raise errors.invalid_input(f"Only {MAX_BOUNDARIES} permissions boundary policy can be simulated.")
        check_given(boundaries[0])
        simulation.boundary = Source("PermissionsBoundaryPolicyInputList.1", boundaries[0])
    if document := input.get("ResourcePolicy"):
        try:
            validate_resource_policy(document)
        except PolicyError as error:
            raise errors.invalid_input(f"Invalid resource policy: {error.message}") from None
        simulation.resource = Source(RESOURCE_POLICY, document)
    if owner := input.get("ResourceOwner"):
        match = re.search(r"\d{12}", owner)
        simulation.owner = match[0] if match else ""
    for entry in input.get("ContextEntries", ()):
        if "ContextKeyName" not in entry:
            raise errors.invalid_input("A context entry has no ContextKeyName.")
        simulation.context[entry["ContextKeyName"]] = entry.get("ContextKeyValues", ())
    if not simulation.principal_arn:
        simulation.principal_arn = input.get("CallerArn") or f"arn:aws:iam::{ctx.account}:user/simulated"


async def _run(ctx: Context, simulation: Simulation, input: Input) -> Output:
    _prepare(ctx, simulation, input)
    for action in input["ActionNames"]:
        if not ACTION.fullmatch(action):
            raise errors.invalid_input(f"Invalid Action Name: {action}")
    resources = input.get("ResourceArns") or ["*"]
    pairs = [(action, resource) for action in input["ActionNames"] for resource in resources]
    chosen, more = page(list(enumerate(pairs)), input, lambda pair: f"{pair[0]:08d}")
    results = []
    for number, (action, resource) in chosen:
        results.append(_result(ctx, simulation, action, resource, named="ResourceArns" in input))
        if number % SLICE == SLICE - 1:
            await asyncio.sleep(0)
    return {"EvaluationResults": results, **more}


def _result(ctx: Context, simulation: Simulation, action: str, resource: str, *, named: bool) -> dict[str, Any]:
    decision = _decide(ctx, simulation, action, resource)
    common: dict[str, Any] = {
        "MatchedStatements": _statements(simulation, decision.matches),
        "MissingContextValues": sorted(decision.missing_context),
    }
    if simulation.boundary is not None:
        inside = _decide(ctx, Simulation([simulation.boundary], context=simulation.context), action, resource).allowed
        common["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": inside}
    result = {"EvalActionName": action, "EvalResourceName": resource, "EvalDecision": decision.outcome, **common}
    if named:
        result["ResourceSpecificResults"] = [{"EvalResourceName": resource, "EvalResourceDecision": decision.outcome, **common}]
    return result


def _decide(ctx: Context, simulation: Simulation, action: str, resource: str) -> Decision:
    compiler = ctx.host.get(Compiler)
    request = AccessRequest(
        action=action,
        resource=resource,
        principal_arn=simulation.principal_arn or f"arn:aws:iam::{ctx.account}:user/simulated",
        principal_account=ctx.account,
        principal_kind=simulation.kind,
        role_arn=simulation.role_arn,
        resource_account=simulation.owner,
        context=simulation.context,
    )
    limit, policy = simulation.boundary, simulation.resource
    return evaluate(
        request,
        identity=[compiler.policy(source.document, source.key) for source in simulation.identity],
        boundary=None if limit is None else compiler.policy(limit.document, limit.key),
        resource=None if policy is None else compiler.policy(policy.document, policy.key),
    )


def _statements(simulation: Simulation, matches: Sequence[Match]) -> list[dict[str, Any]]:
    known = simulation.by_key()
    shown = []
    for match in matches:
        text = known[match.policy].document
        span = statement_spans(text)[match.statement]
        shown.append(
            {
                "SourcePolicyId": known[match.policy].id,
                "SourcePolicyType": RESOURCE_TYPE if match.layer == "resource-based policy" else IDENTITY_TYPE,
                "StartPosition": position(text, span.start),
                "EndPosition": position(text, span.end),
            }
        )
    return shown
