"""HTTP and HTTP_PROXY: a server somewhere."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from urllib.parse import quote, quote_plus

from haar.services.apigateway.dataplane.answers import misconfigured, timed_out, unreachable
from haar.services.apigateway.dataplane.call import Call
from haar.services.apigateway.dataplane.client import Unreachable, begin, fetch
from haar.services.apigateway.dataplane.custom import RequestPart, ResponsePart, answered_trace, names, traced
from haar.services.apigateway.dataplane.event import outgoing
from haar.services.apigateway.dataplane.functions import stage_text
from haar.services.apigateway.dataplane.log import pairs, shorten
from haar.services.apigateway.dataplane.mapping import Incoming, Outgoing, RequestMapping
from haar.services.apigateway.records import Doc
from haar.wire.http import Response

_PARAMETER = re.compile(r"\{([^{}+]+)\+?\}")
_PATH_SAFE = "/:@!$&'()*+,;=-._~%"
_KEPT_BACK = frozenset(("content-encoding", "host", "via"))
"""Headers that a function gets, and a server does not."""


class _Endpoint:
    def __init__(self, integration: Doc) -> None:
        self._uri = stage_text(integration["uri"])
        self._method = integration["httpMethod"]
        self.seconds = integration["timeoutInMillis"] / 1000
        self._verify = not integration.get("tlsConfig", {}).get("insecureSkipVerification", False)

    async def ask(self, call: Call, out: Outgoing) -> Incoming:
        """Raises Refused when no response comes."""
        method, url, headers = self._asked(call, out)
        began = call.host.clock.now()
        with _refusing():
            status, answered, body = await fetch(method, url, headers, out.body, self.seconds, self._verify, call.live.certificate)
        call.received(status, began)
        return Incoming(status, answered, body)

    async def begin(self, call: Call, out: Outgoing) -> tuple[int, list[tuple[str, str]], AsyncIterator[bytes]]:
        """As `ask`, when the response's head has come."""
        method, url, headers = self._asked(call, out)
        began = call.host.clock.now()
        with _refusing():
            status, answered, body = await begin(method, url, headers, out.body, self.seconds, self._verify, call.live.certificate)
        call.received(status, began)
        return status, answered, body

    def _asked(self, call: Call, out: Outgoing) -> tuple[str, str, list[tuple[str, str]]]:
        """Method, URL and headers of the request, told in the log."""
        url = _PARAMETER.sub(lambda match: quote(out.path.get(match[1], match[0]), safe=_PATH_SAFE), self._uri(call))
        if not url.startswith(("http://", "https://")):
            raise misconfigured("Invalid endpoint address")
        query = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, many in out.query.items() for value in many)
        if query:
            url += ("&" if "?" in url else "?") + query
        headers = [(name, value) for name, many in out.headers.items() for value in many]
        method = call.request.method if self._method == "ANY" else self._method
        if call.log is not None:
            call.say(f"Endpoint request URI: {url}")
            call.say(f"Endpoint request headers: {pairs(headers)}")
            call.say(f"Endpoint request body after transformations: {shorten(out.body)}")
            call.say(f"Sending request to {url}")
        return method, url, headers


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise timed_out() from None
    except Unreachable as error:
        if str(error).startswith("Invalid endpoint"):
            raise misconfigured(str(error)) from None
        raise unreachable(str(error)) from None


class HttpProxy:
    """The request goes through, and the response comes back, as they are."""

    def __init__(self, integration: Doc) -> None:
        self.endpoint = _Endpoint(integration)
        self._mapping = RequestMapping(integration.get("requestParameters", {}))

    def outgoing(self, call: Call) -> Outgoing:
        """The request as it goes through."""
        passed = {name: list(values) for name, values in call.headers.items() if name.lower() not in _KEPT_BACK}
        out = Outgoing(passed, {name: list(values) for name, values in call.query.items()}, {}, call.request.body)
        out.headers["x-amzn-apigateway-api-id"] = [call.live.api_id]
        self._mapping.apply(call, out)
        return out

    async def __call__(self, call: Call) -> Response:
        incoming = await self.endpoint.ask(call, self.outgoing(call))
        if call.log is not None:
            call.say(f"Endpoint response headers: {pairs(incoming.headers)}")
            call.say(f"Endpoint response body before transformations: {shorten(incoming.body)}")
        return Response(incoming.status, outgoing(incoming.headers), incoming.body)


class Http:
    """The request and the response are mapped."""

    def __init__(self, integration: Doc) -> None:
        self._endpoint = _Endpoint(integration)
        self._request = RequestPart(integration)
        self._response = ResponsePart(integration)

    async def __call__(self, call: Call) -> Response:
        out = await self._request.make(call)
        headers = [("Accept", "application/json"), ("User-Agent", f"AmazonAPIGateway_{call.live.api_id}")]
        headers += [("x-amzn-apigateway-api-id", call.live.api_id), ("X-Amzn-Trace-Id", call.trace_id)]
        if out.body:
            headers.append(("Content-Type", call.request.headers.get("content-type", "application/json")))
        given = names([(name, "") for name in out.headers])
        for name, value in headers:
            if name.lower() not in given:
                out.headers[name] = [value]
        incoming = await self._endpoint.ask(call, out)
        return traced(await self._response.make(call, incoming, str(incoming.status)), answered_trace(call))
