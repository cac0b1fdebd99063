"""What the operations of CloudWatch Logs demand of policies, and how inputs name groups."""

from collections.abc import Sequence

from haar.services.logs.errors import invalid, no_resource
from haar.services.logs.records import Groups, group_arn
from haar.services.service import Context, Demand, Demands, Input


def group_name(input: Input) -> str:
    """The group that `logGroupName` or `logGroupIdentifier` (a name or an ARN) names."""
    name, identifier = input.get("logGroupName"), input.get("logGroupIdentifier")
    if name and identifier:
        raise invalid("LogGroupName and LogGroupIdentifier are mutually exclusive parameters.")
    if not name and not identifier:
        raise invalid("Either LogGroupName or LogGroupIdentifier must be specified.")
    return str(name) if name else name_of_arn(str(identifier))


def name_of_arn(identifier: str) -> str:
    """A group's name from its name or its ARN (with or without the trailing `:*`)."""
    if not identifier.startswith("arn:"):
        return identifier
    parts = identifier.split(":", 6)
    if len(parts) < 7 or parts[2] != "logs" or parts[5] != "log-group":
        raise no_resource()
    return parts[6].removesuffix(":*")


async def _demand(context: Context, action: str, name: str, suffix: str, input: Input) -> Demand:
    group = await context.host.get(Groups).find(context.region, name)
    conditions: dict[str, Sequence[str]] = {}
    if isinstance(tags := input.get("tags"), dict):
        conditions = {f"aws:RequestTag/{key}": [value] for key, value in tags.items()} | {"aws:TagKeys": list(tags)}
    elif isinstance(keys := input.get("tagKeys", tags), list):
        conditions = {"aws:TagKeys": keys}
    arn = group_arn(context.region, context.account, name) + suffix
    return Demand(action, arn, conditions, tags=group.tags if group else {})


async def demand_on(context: Context, action: str, name: str) -> Demand:
    """The action on a group that is named otherwise than by `logGroupName`."""
    return await _demand(context, action, name, ":log-stream:", {})


def on_group(action: str) -> Demands:
    """The action on the group: `…:log-group:NAME:log-stream:`, which `…:log-group:NAME:*` covers, as the service asks it."""

    async def demands(context: Context, input: Input) -> list[Demand]:
        return [await _demand(context, action, group_name(input), ":log-stream:", input)]

    return demands


async def on_creation(context: Context, input: Input) -> list[Demand]:
    """Making a group; with tags, tagging it too."""
    name = input["logGroupName"]
    demands = [await _demand(context, "logs:CreateLogGroup", name, ":log-stream:", input)]
    if input.get("tags"):
        demands.append(await _demand(context, "logs:TagResource", name, "", input))
    return demands


def on_stream(action: str) -> Demands:
    async def demands(context: Context, input: Input) -> list[Demand]:
        return [await _demand(context, action, group_name(input), f":log-stream:{input['logStreamName']}", input)]

    return demands


def on_resource(action: str) -> Demands:
    """The tagging operations by ARN: the group itself, without a suffix."""

    async def demands(context: Context, input: Input) -> list[Demand]:
        return [await _demand(context, action, name_of_arn(input["resourceArn"]), "", input)]

    return demands


def on_all_groups(action: str) -> Demands:
    def demands(context: Context, input: Input) -> list[Demand]:
        return [Demand(action, group_arn(context.region, context.account, "") + ":log-stream:")]

    return demands


def on_anything(action: str) -> Demands:
    def demands(context: Context, input: Input) -> list[Demand]:
        return [Demand(action)]

    return demands
