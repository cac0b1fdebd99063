"""From a snapshot to what serves it: routes whose ends know how to answer. Done once a deployment."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from haar.services.apigateway.public import AccessLog, docs, get_doc
from haar.services.apigatewayv2.dataplane.call import Call
from haar.services.apigatewayv2.dataplane.routing import Routes
from haar.services.apigatewayv2.records import LIVE, Doc, Draft, decode_draft
from haar.services.service import Host
from haar.store.cache import Cached
from haar.wire.http import Response

if TYPE_CHECKING:
    from haar.services.apigatewayv2.websocket.checks import Models

MAX_APIS = 2000
"""APIs kept ready in memory."""
MAX_COMPILED = 500
"""Deployments kept compiled in memory."""

Run = Callable[[Call], Awaitable[Response]]


@dataclass(slots=True)
class Endpoint:
    """A route with what is behind it."""

    key: str
    source: str
    """The route in ARNs: `GET/pets/{id}` or `$default`."""
    run: Run
    authorization: str
    authorizer: Doc | None
    scopes: tuple[str, ...]
    required: tuple[tuple[str, str], ...] = ()
    """Places and names of the parameters that a handshake must have."""


@dataclass(slots=True)
class SocketRoute:
    """A route of a WebSocket API: its integration answers with what becomes of a message."""

    endpoint: Endpoint
    responds: bool
    """Whether what the integration answers is sent to the client."""
    models: "Models"
    key_required: bool


@dataclass(slots=True)
class Compiled:
    """A deployment, ready to serve. Immutable: shared by all stages that are on it."""

    routes: Routes[Endpoint]
    cors: Doc | None
    draft: Draft
    sockets: Mapping[str, "SocketRoute"] = field(default_factory=dict)
    """The routes of a WebSocket API, by key."""


@dataclass(slots=True)
class Stage:
    api_id: str
    region: str
    account: str
    name: str
    variables: Mapping[str, str]
    compiled: Compiled
    settings: Mapping[str, Doc]
    """Of routes, by key."""
    default: Doc
    """The settings of all other routes."""
    access_log: AccessLog | None

    def arn(self, path: str) -> str:
        return f"arn:aws:execute-api:{self.region}:{self.account}:{self.api_id}/{path}"


@dataclass(slots=True)
class Api:
    """An API and its stages that are deployed."""

    api_id: str
    region: str
    protocol: str
    disabled: bool
    stages: dict[str, Stage] = field(default_factory=dict)


def compile_draft(draft: Draft) -> Compiled:
    from haar.services.apigatewayv2.dataplane.integrate import compile_integration
    from haar.services.apigatewayv2.websocket.integrate import compile_sockets

    if draft.api["ProtocolType"] == "WEBSOCKET":
        return Compiled(Routes(), None, draft, compile_sockets(draft))
    routes: Routes[Endpoint] = Routes()
    for route in draft.routes.values():
        integration = draft.integrations.get(route.get("Target", "").removeprefix("integrations/"))
        if integration is None:
            continue
        routes.add(route["RouteKey"], make_endpoint(draft, route, compile_integration(integration)))
    return Compiled(routes, draft.api.get("CorsConfiguration"), draft)


def make_endpoint(draft: Draft, route: Doc, run: Run) -> Endpoint:
    key = route["RouteKey"]
    authorizer = draft.authorizers.get(route.get("AuthorizerId", ""))
    scopes = tuple(route.get("AuthorizationScopes", ()))
    wanted = [name for name, one in route.get("RequestParameters", {}).items() if one.get("Required")]
    parts = [name.removeprefix("route.request.").partition(".") for name in wanted]
    required = tuple((place, name) for place, _, name in parts)
    return Endpoint(key, key.replace(" ", "", 1), run, route["AuthorizationType"], authorizer, scopes, required)


class Plane:
    """All APIs of a host that were asked for, compiled."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._apis: Cached[Api | bool] = Cached(host.store, (LIVE,), self._load, MAX_APIS)
        self._compiled: OrderedDict[tuple[str, str], Compiled] = OrderedDict()

    async def find(self, api_id: str) -> Api | None:
        """The API, or None when the id is of none (it may be a REST API's)."""
        found = self._apis.peek(api_id)
        if found is None:
            found = await self._apis.get(api_id)
        return found if isinstance(found, Api) else None

    async def _load(self, api_id: str) -> Api | bool:
        store = self._host.store
        head = await get_doc(store, LIVE, api_id, "api")
        if head is None:
            return False
        api = Api(api_id, head["Region"], head["ProtocolType"], head["Disabled"])
        for stage in await docs(store, LIVE, api_id, "stage/"):
            compiled = await self._deployment(api_id, stage.get("DeploymentId", ""))
            if compiled is not None:
                api.stages[stage["StageName"]] = self._stage(api, stage, compiled)
        return api

    def _stage(self, api: Api, stage: Doc, compiled: Compiled) -> Stage:
        logged = stage.get("AccessLogSettings", {})
        wanted = logged.get("DestinationArn") and logged.get("Format")
        return Stage(
            api.api_id,
            api.region,
            self._host.account,
            stage["StageName"],
            stage["StageVariables"],
            compiled,
            stage["RouteSettings"],
            stage["DefaultRouteSettings"],
            AccessLog(logged["DestinationArn"], logged["Format"]) if wanted else None,
        )

    async def _deployment(self, api_id: str, deployment_id: str) -> Compiled | None:
        known = self._compiled.get((api_id, deployment_id))
        if known is None:
            snapshot = await self._host.store.get(LIVE, api_id.encode(), f"snapshot/{deployment_id}".encode())
            if snapshot is None:
                return None
            known = self._compiled[api_id, deployment_id] = compile_draft(decode_draft(snapshot))
            while len(self._compiled) > MAX_COMPILED:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end((api_id, deployment_id))
        return known
