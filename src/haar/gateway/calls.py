"""How one service calls another's API: as any client does, by the pipeline, except that the platform itself says who calls."""

from urllib.parse import quote

from haar.auth.principal import Authenticated
from haar.gateway.pipeline import Gateway
from haar.services.service import NoService, Service, ServiceCall
from haar.wire.codec import Codec
from haar.wire.errors import ServiceError
from haar.wire.http import Request, Response


class ServiceCalls:
    """What `Host.call` is: identify, parse, validate, authorise, execute, serialise, as the principal that the call names."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._by_endpoint: dict[str, list[Service]] = {}
        for service in gateway.services:
            self._by_endpoint.setdefault(self._codec(service).endpoint, []).append(service)

    async def __call__(self, call: ServiceCall) -> Response:
        service = self._service(call)
        request = self._addressed(call, service) if call.action else call.request
        request_id = self._gateway.ids.uuid()
        caller = Authenticated(call.principal, call.region, service.signing_name)
        return await self._gateway.call(service, request, request_id, caller)

    def _codec(self, service: Service) -> Codec:
        return self._gateway.router.codecs[service.name]

    def _service(self, call: ServiceCall) -> Service:
        found = self._by_endpoint.get(call.endpoint, [])
        if call.action:
            found = [one for one in found if call.action in self._codec(one).operations]
        if len(found) > 1:
            found = [one for one in found if self._knows(one, call.request)] or found
        if not found:
            raise NoService(f"{call.endpoint} {call.action}".strip())
        return found[0]

    def _knows(self, service: Service, request: Request) -> bool:
        try:
            self._codec(service).identify(request)
        except ServiceError:
            return False
        return True

    def _addressed(self, call: ServiceCall, service: Service) -> Request:
        """The request with its operation named in the way of the service's protocol."""
        codec, request = self._codec(service), call.request
        if codec.protocol == "json":
            headers = [("X-Amz-Target", f"{codec.target_prefix}.{call.action}"), ("Content-Type", "application/x-amz-json-1.0")]
            named = {name.lower() for name, _ in headers}
            pairs = [pair for pair in request.pairs if pair[0].lower() not in named] + headers
            return _with(request, pairs, request.query)
        if codec.protocol == "query":
            query = f"Action={quote(call.action)}&Version={codec.api_version}" + (f"&{request.query}" if request.query else "")
            return _with(request, request.pairs, query)
        raise NoService(f"{call.endpoint} {call.action}: its operations are called by path")


def _with(request: Request, pairs: list[tuple[str, str]], query: str) -> Request:
    headers = {name.lower(): value for name, value in pairs}
    return Request(request.method, "/", query, pairs, headers, request.body, request.client, request.secure)
