"""From a snapshot to what serves it: a routing tree whose leaves know how to answer. Done once a deployment."""

import base64
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from haar.services.apigateway.dataplane.bodies import Bodies
from haar.services.apigateway.dataplane.cache import Key, keys_of
from haar.services.apigateway.dataplane.call import Call
from haar.services.apigateway.dataplane.logs import AccessLog
from haar.services.apigateway.dataplane.routing import Node
from haar.services.apigateway.dataplane.settings import MethodSettings, method_settings
from haar.services.apigateway.records import ACCOUNT, LIVE, Doc, Draft, decode_draft, get_doc
from haar.services.service import Host
from haar.store.cache import Cached
from haar.wire.http import Response

MAX_STAGES = 2000
"""Stages kept ready in memory."""
MAX_COMPILED = 500
"""Deployments kept compiled in memory."""

Run = Callable[[Call], Awaitable[Response]]


@dataclass(slots=True)
class Endpoint:
    """A method of a resource."""

    resource_id: str
    resource_path: str
    http_method: str
    """As it was put: `GET`, or `ANY`."""
    method: Doc
    run: Run
    """The integration: request, endpoint and response."""
    eager: bool = False
    """Whether `run` waits for nothing that needs a task."""
    authorization: str = "NONE"
    operation_name: str | None = None
    api_key_required: bool = False
    required: tuple[tuple[str, str], ...] = ()
    """Parameters that a validator insists on: (`header`, name)."""
    bodies: Bodies | None = None
    """Models that a validator holds bodies to."""
    cache_key: Callable[[Call], Key] | None = None


@dataclass(slots=True)
class Compiled:
    """A deployment, ready to serve. Immutable: shared by all stages that are on it."""

    root: Node[Endpoint]
    draft: Draft
    binary_types: tuple[str, ...]
    policy: str | None
    disabled: bool
    """Whether the API is not to be reached at its own address."""
    gateway_responses: Mapping[str, Doc]
    compressed_from: int | None = None
    """Bytes from which on responses are compressed; None for an API that compresses nothing."""
    name: str = ""
    """The API's, as metrics have it."""


@dataclass(slots=True)
class Live:
    """A stage and the deployment that it is on."""

    api_id: str
    region: str
    account: str
    stage: str
    deployment_id: str
    variables: dict[str, str]
    compiled: Compiled
    settings: Mapping[str, Doc]
    canary: "Live | None" = None
    percent: float = 0.0
    """How much of the traffic goes to the canary."""
    is_canary: bool | None = None
    """None for a stage without one."""
    cached: bool = False
    cache_scope: str = ""
    """Whose responses the cache keeps apart from others'."""
    access_log: AccessLog | None = None
    certificate: tuple[str, str] | None = None
    """The client certificate and its key (PEM) that HTTPS endpoints are shown."""
    methods: dict[tuple[str, str, str], MethodSettings] = field(default_factory=dict)

    def method(self, endpoint: Endpoint, verb: str) -> MethodSettings:
        """The settings in effect for a method that is called by `verb`."""
        key = endpoint.resource_path, endpoint.http_method, verb
        found = self.methods.get(key)
        if found is None:
            found = method_settings(f"{self.api_id}/{self.stage}", self.settings, key[0], key[1], verb, self.cached)
            self.methods[key] = found
        return found

    def chosen(self, chance: int) -> "Live":
        """The stage or its canary; `chance` is one of 0…65535."""
        return self if self.canary is None or chance * 100 >= self.percent * 65536 else self.canary

    def arn(self, path: str) -> str:
        return f"arn:aws:execute-api:{self.region}:{self.account}:{self.api_id}/{path}"


def compile_draft(draft: Draft) -> Compiled:
    from haar.services.apigateway.dataplane.integrate import compile_integration

    root: Node[Endpoint] = Node()
    for resource in draft.resources.values():
        methods: dict[str, Endpoint] = {}
        for http_method, method in resource.get("resourceMethods", {}).items():
            if "methodIntegration" in method:
                methods[http_method] = _endpoint(draft, resource, http_method, method, compile_integration(method, draft))
        root.add(resource["path"], methods)
    api = draft.api
    return Compiled(
        root,
        draft,
        tuple(api.get("binaryMediaTypes", ())),
        api.get("policy"),
        api.get("disableExecuteApiEndpoint", False),
        draft.gateway_responses,
        api.get("minimumCompressionSize"),
        api["name"],
    )


def _endpoint(draft: Draft, resource: Doc, http_method: str, method: Doc, run: Run) -> Endpoint:
    validator = draft.validators.get(method.get("requestValidatorId", ""), {})
    required: list[tuple[str, str]] = []
    if validator.get("validateRequestParameters"):
        for parameter, needed in method.get("requestParameters", {}).items():
            if needed:
                _, _, place, name = parameter.split(".", 3)
                required.append((place, name))
    return Endpoint(
        resource["id"],
        resource["path"],
        http_method,
        method,
        run,
        method["methodIntegration"]["type"] == "MOCK",
        method["authorizationType"],
        method.get("operationName"),
        method["apiKeyRequired"],
        tuple(required),
        Bodies(method, draft) if validator.get("validateRequestBody") and method.get("requestModels") else None,
        keys_of(method["methodIntegration"]),
    )


class Plane:
    """All stages of a host that were asked for, compiled."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._stages: Cached[Live | bool] = Cached(host.store, (LIVE,), self._load, MAX_STAGES)
        self._compiled: OrderedDict[tuple[str, str], Compiled] = OrderedDict()

    def peek(self, api_id: str, stage: str) -> Live | None:
        """The stage when it is in memory; no I/O."""
        found = self._stages.peek(f"{api_id}/{stage}")
        return found or None  # type: ignore[return-value]  # True is never kept

    async def live(self, api_id: str, stage: str) -> Live | None:
        """The stage, or None when there is none such."""
        found = await self._stages.get(f"{api_id}/{stage}")
        return found if isinstance(found, Live) else None

    async def _load(self, key: str) -> Live | bool:
        api_id, _, name = key.partition("/")
        stage = await get_doc(self._host.store, LIVE, api_id, f"stage/{name}")
        if stage is None:
            return False
        deployment_id = stage["deploymentId"]
        compiled = await self._deployment(api_id, deployment_id)
        if compiled is None:
            return False
        flushed = await self._host.store.get(LIVE, api_id.encode(), f"flush/{name}".encode()) or b""
        live = make_live(self._host, api_id, stage, compiled, flushed.decode())
        settings = stage.get("canarySettings", {})
        live.is_canary = False if settings else None
        live.certificate = await self._certificate(live.region, stage.get("clientCertificateId"))
        if settings.get("deploymentId") and settings.get("percentTraffic"):
            other = await self._deployment(api_id, settings["deploymentId"])
            if other is not None:
                variables = stage.get("variables", {}) | settings.get("stageVariableOverrides", {})
                changed = stage | {"deploymentId": settings["deploymentId"], "variables": variables}
                canary = make_live(self._host, api_id, changed, other, flushed.decode())
                canary.is_canary, canary.certificate = True, live.certificate
                if not settings.get("useStageCache"):
                    canary.cache_scope += "/canary"
                live.canary, live.percent = canary, settings["percentTraffic"]
        return live

    async def _certificate(self, region: str, certificate_id: str | None) -> tuple[str, str] | None:
        found = await get_doc(self._host.store, ACCOUNT, region, f"certificate/{certificate_id}") if certificate_id else None
        return (found["pemEncodedCertificate"], found["key"]) if found else None

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


def make_live(host: Host, api_id: str, stage: Doc, compiled: Compiled, flushed: str = "") -> Live:
    logged = stage.get("accessLogSettings", {})
    return Live(
        api_id,
        compiled.draft.region,
        host.account,
        stage["stageName"],
        stage["deploymentId"],
        stage.get("variables", {}),
        compiled,
        stage.get("methodSettings", {}),
        cached=stage.get("cacheClusterEnabled", False),
        cache_scope=f"{api_id}/{stage['stageName']}/{flushed}",
        access_log=AccessLog(logged["destinationArn"], logged["format"]) if logged.get("destinationArn") and logged.get("format") else None,
    )


class _Numbers:
    """For identifiers of requests, from a seeded generator: they are no secret, and every request has some."""

    def __init__(self, host: Host) -> None:
        self.bits = random.Random(host.ids.bytes(32)).getrandbits  # noqa: S311 - not for secrets


def extended_id(host: Host) -> str:
    """As `x-amz-apigw-id` has it: 15 characters of base64 that may stand in a path, and an equals sign."""
    return base64.urlsafe_b64encode(host.get(_Numbers).bits(88).to_bytes(11)).decode()


def trace_id(host: Host, received: str | None) -> str:
    if received and ";Root=" in f";{received}".replace(" ", ""):
        return received.replace(" ", "")
    return f"Root=1-{int(host.clock.now()):08x}-{host.get(_Numbers).bits(96):024x}"
