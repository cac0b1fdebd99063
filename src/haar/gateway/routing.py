"""Which service a request is for."""

from collections.abc import Iterator
from urllib.parse import parse_qs

from haar.services.service import Route, Service
from haar.wire import load, load_all
from haar.wire.codec import Codec
from haar.wire.errors import ServiceError
from haar.wire.http import Request

FORM = "application/x-www-form-urlencoded"


class Router:
    """The services by what a request shows of them: target prefix, credential scope, API version, path."""

    def __init__(self, services: list[Service]) -> None:
        self.codecs: dict[str, Codec] = {service.name: load(service.name, service.opaque) for service in services}
        every = {service.name: load_all(service.name, service.opaque) for service in services}
        self._spoken = {name: codecs for name, codecs in every.items() if len(codecs) > 1}
        """Of the services that are spoken to in several protocols."""
        self._by_target: dict[str, Service] = {}
        self._by_version: dict[str, Service] = {}
        self._by_signing_name: dict[str, list[Service]] = {}
        self._rest: list[Service] = []
        for service in services:
            codec = self.codecs[service.name]
            self._by_signing_name.setdefault(service.signing_name, []).append(service)
            if codec.target_prefix:
                self._by_target[codec.target_prefix] = service
            elif codec.protocol == "query":
                self._by_version[codec.api_version] = service
            else:
                self._rest.append(service)
        self._routes = [route for service in services for route in service.routes]
        self.eager = frozenset(route for route in self._routes if getattr(route, "eager", False))
        """Routes that see to it themselves that what needs a task has one."""

    def candidates(self, request: Request) -> Iterator[Route]:
        """The deployed APIs, function URLs and downloads that a request may be for."""
        return (route for route in self._routes if route.matches(request))

    def service(self, request: Request) -> Service | None:
        """The service whose API is called; None when nothing of the request says which."""
        target = request.headers.get("x-amz-target")
        if target is not None and (found := self._by_target.get(target.rpartition(".")[0])) is not None:
            return found
        named = self._by_signing_name.get(signing_name(request), [])
        if len(named) == 1:
            return named[0]
        version = self._version(request)
        if version is not None and version in self._by_version:
            return self._by_version[version]
        for service in named or self._rest:
            try:
                self.codecs[service.name].identify(request)
            except ServiceError:
                continue
            return service
        return named[0] if named else None

    def codec(self, service: Service, request: Request) -> Codec:
        """The service's codec in the protocol that the request is in."""
        spoken = self._spoken.get(service.name)
        if spoken is None:
            return self.codecs[service.name]
        if request.headers.get("smithy-protocol") == "rpc-v2-cbor":
            protocol = "smithy-rpc-v2-cbor"
        else:
            protocol = "json" if "x-amz-target" in request.headers else "query"
        return spoken.get(protocol) or self.codecs[service.name]

    def _version(self, request: Request) -> str | None:
        fields = request.query
        if request.method == "POST" and request.headers.get("content-type", "").startswith(FORM):
            fields = request.body[:4096].decode("latin-1") + "&" + fields
        if "Action=" not in fields:
            return None
        return parse_qs(fields).get("Version", [""])[0]


def signing_name(request: Request) -> str:
    """The service in the credential scope, of the header or of a presigned URL; empty when there is none."""
    header = request.headers.get("authorization")
    if header is not None:
        begin = header.find("Credential=")
        scope = header[begin + 11 : header.find(",", begin)] if begin >= 0 else ""
    else:
        scope = parse_qs(request.query).get("X-Amz-Credential", [""])[0] if "X-Amz-Credential=" in request.query else ""
    parts = scope.split("/")
    return parts[-2] if len(parts) >= 5 else ""
