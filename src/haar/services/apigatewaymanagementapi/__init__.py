"""Amazon API Gateway Management API: `@connections` of WebSocket APIs at the platform's own address.

At an API's address the API's data plane serves it; here, where `AWS_ENDPOINT_URL` leads, the connection's id says which API it is of.
"""

from collections.abc import Sequence

from haar.services.apigatewayv2.public import Connections, Live, run
from haar.services.service import Context, Demand, Demands, Input, Output, Service

service = Service("apigatewaymanagementapi", signing_name="execute-api", prefix="execute-api")


def _live(ctx: Context, input: Input) -> Live | None:
    live = ctx.host.get(Connections).find(input["ConnectionId"])
    return live if live is not None and live.region == ctx.region else None


def _on(method: str) -> Demands:
    def demands(ctx: Context, input: Input) -> Sequence[Demand]:
        live = _live(ctx, input)
        place = f"{live.api_id}/{live.stage}" if live is not None else "*/*"
        resource = f"arn:aws:execute-api:{ctx.region}:{ctx.account}:{place}/{method}/@connections/{input['ConnectionId']}"
        return [Demand("execute-api:ManageConnections", resource)]

    return demands


@service.operation("PostToConnection", _on("POST"))
async def post_to_connection(ctx: Context, input: Input) -> Output:
    return run("PostToConnection", input["ConnectionId"], _live(ctx, input), input["Data"])


@service.operation("GetConnection", _on("GET"))
async def get_connection(ctx: Context, input: Input) -> Output:
    return run("GetConnection", input["ConnectionId"], _live(ctx, input), b"")


@service.operation("DeleteConnection", _on("DELETE"))
async def delete_connection(ctx: Context, input: Input) -> Output:
    return run("DeleteConnection", input["ConnectionId"], _live(ctx, input), b"")
