"""What the operations of Lambda demand of policies."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from haar.auth.principal import Credential
from haar.services.iam.public import find_credential
from haar.services.lambda_.directory import Directory
from haar.services.lambda_.errors import invalid
from haar.services.lambda_.layernames import MAX_LAYERS, using_layer
from haar.services.lambda_.names import LATEST, FunctionName, parse_name
from haar.services.lambda_.records import find_function, find_policy
from haar.services.service import Context, Demand, Demands, Host, Input
from haar.wire.errors import ServiceError

LAMBDA = "lambda.amazonaws.com"
Conditions = Mapping[str, Sequence[str]]
FunctionDemands = Callable[[Context, Input], Awaitable[list[Demand]]]


def named(context: Context, input: Input) -> FunctionName:
    return parse_name(input["FunctionName"], context.region, context.account, input.get("Qualifier"))


def unversioned(context: Context, input: Input) -> FunctionName:
    """The function, without its qualifier, which may be $LATEST only. Raises InvalidParameterValueException."""
    name = named(context, input)
    if name.qualifier not in ("", LATEST):
        raise invalid(
            "Current operation does not support versions other than $LATEST. "
            "Please set the version to $LATEST or do not set a version in your request."
        )
    return name.at("")


async def tags_of(context: Context, name: FunctionName) -> Mapping[str, str]:
    function = await find_function(context.store, name) if name.account == context.account else None
    return function.tags if function else {}


def tag_conditions(tags: Mapping[str, str]) -> dict[str, Sequence[str]]:
    conditions: dict[str, Sequence[str]] = {f"aws:RequestTag/{key}": [value] for key, value in tags.items()}
    return conditions | {"aws:TagKeys": list(tags)} if tags else conditions


def on_function(action: str, conditions: Callable[[Input], Conditions] = lambda _: {}, *, qualified: bool = True) -> FunctionDemands:
    """The action on the function, with its qualifier where the action's resource may have one."""

    async def demands(context: Context, input: Input) -> list[Demand]:
        name = named(context, input)
        if not qualified:
            name = name.at("")
        policy = await find_policy(context.store, name, name.qualifier) if name.account == context.account else None
        document = policy.text() if policy and policy.names_callers() else None
        return [Demand(action, name.qualified, conditions(input), document, await tags_of(context, name))]

    return demands


def on_anything(action: str) -> Demands:
    def demands(context: Context, input: Input) -> list[Demand]:
        return [Demand(action)]

    return demands


def pass_role(role: str, function_arn: str) -> Demand:
    return Demand("iam:PassRole", role, {"iam:PassedToService": [LAMBDA], "iam:AssociatedResourceArn": [function_arn]})


def configures(action: str) -> Demands:
    """Creating a function or changing its configuration: also the role that it is given."""

    async def demands(context: Context, input: Input) -> list[Demand]:
        name = named(context, input).at("")
        conditions: dict[str, Sequence[str]] = dict(tag_conditions(input.get("Tags", {})))
        if layers := input.get("Layers"):
            conditions["lambda:Layer"] = layers
        if signing := input.get("CodeSigningConfigArn"):
            conditions["lambda:CodeSigningConfigArn"] = [signing]
        vpc = input.get("VpcConfig", {})
        for key, member in (("lambda:SubnetIds", "SubnetIds"), ("lambda:SecurityGroupIds", "SecurityGroupIds")):
            if vpc.get(member):
                conditions[key] = vpc[member]
        wanted = [Demand(action, name.arn, conditions, tags=await tags_of(context, name))]
        if "Tags" in input:
            wanted.append(Demand("lambda:TagResource", name.arn, tag_conditions(input["Tags"])))
        for arn in input.get("Layers", ())[:MAX_LAYERS]:
            if (layer := await using_layer(context, arn)) is not None:
                wanted.append(layer)
        if "Role" in input:
            if input["Role"].split(":")[4] != context.account:
                raise ServiceError("AccessDeniedException", "Cross-account pass role is not allowed.", 403, Type="User")
            wanted.append(pass_role(input["Role"], name.arn))
        return wanted

    return demands


async def on_invocation(context: Context, input: Input) -> list[Demand]:
    """lambda:InvokeFunction on the function as it is named, its resource policy beside the caller's own."""
    name = named(context, input)
    try:
        target = await context.host.get(Directory).find(name)
    except ServiceError:
        return [Demand("lambda:InvokeFunction", name.qualified)]  # who may invoke it is told that it is not there
    return [Demand("lambda:InvokeFunction", target.arn, {}, target.policy_for_callers, target.tags)]


class Credentials:
    """Where signatures of requests that are no operations (function URLs) find their keys: IAM."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def find(self, access_key_id: str, session_token: str | None) -> Credential | None:
        return await find_credential(self._host, access_key_id, session_token)
