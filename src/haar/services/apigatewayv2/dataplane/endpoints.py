"""HTTP_PROXY: a server somewhere."""

import re
from urllib.parse import quote

from haar.services.apigateway.public import Unreachable, fetch
from haar.services.apigatewayv2.dataplane.answers import failed, unavailable
from haar.services.apigatewayv2.dataplane.call import Call, stage_text
from haar.services.apigatewayv2.dataplane.mapping import RequestMapping, ResponseMapping, query_text
from haar.services.apigatewayv2.records import Doc
from haar.wire.http import Response

_PARAMETER = re.compile(r"\{([^{}+]+)\+?\}")
_PATH_SAFE = "/:@!$&'()*+,;=-._~"
_NOT_SENT = frozenset(("content-length", "forwarded", "host", "via", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto"))
_DROPPED = frozenset(("connection", "content-length", "date", "keep-alive", "transfer-encoding", "trailer", "upgrade", "proxy-connection"))


class HttpProxy:
    """The request goes through, and the response comes back, as they are but for the parameters that are mapped."""

    def __init__(self, integration: Doc) -> None:
        self._uri = stage_text(integration["IntegrationUri"])
        self._method = integration["IntegrationMethod"]
        self._seconds = integration["TimeoutInMillis"] / 1000
        self._request = RequestMapping(integration.get("RequestParameters", {}))
        self._response = ResponseMapping(integration.get("ResponseParameters", {}))

    async def __call__(self, call: Call) -> Response:
        url = _PARAMETER.sub(lambda match: quote(call.path_parameters.get(match[1], ""), safe=_PATH_SAFE), self._uri(call))
        headers, query = [pair for pair in call.pairs if pair[0].lower() not in _NOT_SENT], call.request.query
        if self._request:
            url, headers, query = self._mapped(call, url)
        headers.append(("Via", "HTTP/1.1 AmazonAPIGateway"))
        headers.append(("Forwarded", _forwarded(call)))
        if query:
            url += ("&" if "?" in url else "?") + query
        method = call.request.method if self._method == "ANY" else self._method
        try:
            status, answered, body = await fetch(method, url, headers, call.request.body, self._seconds)
        except TimeoutError:
            raise unavailable("The endpoint did not answer in time") from None
        except Unreachable as error:
            if str(error).startswith("Invalid endpoint"):
                raise failed(str(error)) from None
            raise unavailable(str(error)) from None
        call.answered(status, answered)
        kept = [pair for pair in answered if pair[0].lower() not in _DROPPED]
        return self._response.apply(call, Response(status, kept, body))

    def _mapped(self, call: Call, url: str) -> tuple[str, list[tuple[str, str]], str]:
        headers = {name: value for name, value in call.headers.items() if name not in _NOT_SENT}
        if call.cookies:
            headers["cookie"] = "; ".join(call.cookies)
        query = {name: list(values) for name, values in call.query.items()}
        path = self._request.apply(call, headers, query)
        if path is not None:
            scheme, _, rest = url.partition("://")
            url = f"{scheme}://{rest.partition('/')[0]}/{quote(path.lstrip('/'), safe=_PATH_SAFE)}"
        return url, list(headers.items()), query_text(query)


def _forwarded(call: Call) -> str:
    """Who is calling, by RFC 7239: HTTP APIs tell an endpoint so, and not by X-Forwarded headers."""
    request = call.request
    before = request.headers.get("forwarded") or ",".join(
        f"for={_node(one.strip())}" for one in request.headers.get("x-forwarded-for", "").split(",") if one.strip()
    )
    proto = "https" if request.secure else "http"
    own = f"by={_node(call.host.config.host)};for={_node(request.client)};host={call.domain};proto={proto}"
    return f"{before},{own}" if before else own


def _node(address: str) -> str:
    return f'"[{address}]"' if ":" in address else address
