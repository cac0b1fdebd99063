"""What the operations demand: `apigateway:VERB` on the path of what they touch, as in the service authorization reference.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapigatewaymanagementv2.html
"""

from collections.abc import Callable, Sequence
from urllib.parse import quote

from haar.services.apigateway import public as rest
from haar.services.apigatewayv2.records import find_api
from haar.services.service import Context, Demand, Demands, Input

Further = Callable[[Context, Input], Sequence[Demand]]
ROUTES = {"AuthorizationType": "RouteAuthorizationType", "AuthorizerType": "AuthorizerType", "AuthorizerUri": "AuthorizerUri"}


def on(verb: str, template: str, *more: Further) -> Demands:
    """Demands of an operation on a path: `on("GET", "/apis/{ApiId}")`; `more` adds what goes with its input."""

    async def demands(ctx: Context, input: Input) -> list[Demand]:
        path = template.format_map({name: _segment(value) for name, value in input.items() if isinstance(value, str)})
        api = await find_api(ctx.store, input["ApiId"], ctx.region) if "ApiId" in input else None
        tags = api.get("Tags", {}) if api else {}
        found = [Demand(f"apigateway:{verb}", rest.arn(ctx.region, path), _requested(input), tags=tags)]
        for further in more:
            found.extend(further(ctx, input))
        return found

    return demands


def _segment(value: str) -> str:
    return quote(value, safe="*+{}-._~$") if "/" in value or ":" in value else value


def pass_role(member: str) -> Further:
    """Handing API Gateway a role takes iam:PassRole on it."""
    return rest.pass_role(member)


def _requested(input: Input) -> dict[str, Sequence[str]]:
    conditions: dict[str, Sequence[str]] = {}
    if tags := input.get("Tags"):
        conditions["aws:TagKeys"] = tuple(tags)
        for key, value in tags.items():
            conditions[f"aws:RequestTag/{key}"] = (value,)
    if "TagKeys" in input:
        conditions["aws:TagKeys"] = tuple(input["TagKeys"])
    for member, key in ROUTES.items():
        if member in input:
            conditions[f"apigateway:Request/{key}"] = (input[member],)
    for member in ("ApiKeyRequired", "DisableExecuteApiEndpoint"):
        if member in input:
            conditions[f"apigateway:Request/{member}"] = ("true" if input[member] else "false",)
    if (settings := input.get("AccessLogSettings")) and "DestinationArn" in settings:
        conditions["apigateway:Request/AccessLoggingDestination"] = (settings["DestinationArn"],)
    return conditions
