"""The cache of stages: responses of integrations, by the parameters that an integration names as its keys.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-caching.html
"""

import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haar.eager import into_task
from haar.services.apigateway.dataplane.answers import Refused
from haar.services.apigateway.dataplane.call import Call
from haar.services.apigateway.dataplane.mapping import Source, source
from haar.services.apigateway.dataplane.settings import MethodSettings
from haar.services.apigateway.records import Doc
from haar.services.service import Host
from haar.wire.http import Response

if TYPE_CHECKING:
    from haar.services.apigateway.dataplane.compile import Endpoint

MAX_BYTES = 128 * 1024 * 1024
"""Of all responses that are kept; the longest unused goes first."""
MAX_ENTRY = 1_048_576
"""A larger response is not kept, as on AWS."""
OVERHEAD = 500
"""What an entry takes besides its body."""
WARNING = ("Warning", "199 - Cache-control headers were ignored because the caller was unauthorized.")
_MAX_AGE_0 = re.compile(r"(?:^|[,\s])max-age\s*=\s*0(?:$|[,\s])", re.IGNORECASE)

Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    until: float
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class ResponseCache:
    """One of a host."""

    def __init__(self, host: Host) -> None:
        self._known: OrderedDict[Key, Entry] = OrderedDict()
        self._bytes = 0

    def get(self, key: Key, now: float) -> Entry | None:
        found = self._known.get(key)
        if found is None:
            return None
        if found.until <= now:
            self._forget(key)
            return None
        self._known.move_to_end(key)
        return found

    def put(self, key: Key, response: Response, until: float) -> None:
        body = response.body
        if not isinstance(body, bytes) or len(body) > MAX_ENTRY:
            return
        self._forget(key)
        self._known[key] = Entry(until, response.status, tuple(response.headers), body)
        self._bytes += len(body) + OVERHEAD
        while self._bytes > MAX_BYTES:
            self._forget(next(iter(self._known)))

    def _forget(self, key: Key) -> None:
        found = self._known.pop(key, None)
        if found is not None:
            self._bytes -= len(found.body) + OVERHEAD


def keys_of(integration: Doc) -> Callable[[Call], Key]:
    """What tells an integration's responses apart: its namespace and the values of its key parameters."""
    namespace = integration.get("cacheNamespace", "")
    mapped = integration.get("requestParameters", {})
    sources: list[Source] = []
    for parameter in integration.get("cacheKeyParameters", ()):
        expression = mapped.get(parameter, parameter)
        if expression.startswith(("method.request.querystring", "method.request.header")):
            expression = expression.replace("method.request.", "method.request.multivalue", 1)
        sources.append(source(expression))
    if not sources:
        alone = (namespace,)
        return lambda call: alone

    def key(call: Call) -> Key:
        return (namespace, *(tuple(found) if (found := take(call, None)) else None for take in sources))

    return key


async def cached(
    call: Call, endpoint: "Endpoint", settings: MethodSettings, may_invalidate: Callable[[Call, "Endpoint"], Awaitable[bool]]
) -> Response:
    """The kept response, or the integration's, which is kept. Raises Refused as the integration does."""
    cache, live = call.host.get(ResponseCache), call.live
    assert endpoint.cache_key is not None
    key = (live.cache_scope, call.request.method, *endpoint.cache_key(call))
    control = call.request.headers.get("cache-control")
    warned = False
    if control is None or not _MAX_AGE_0.search(control):
        invalidates = False
    elif not settings.guarded or await may_invalidate(call, endpoint):
        invalidates = True
    elif settings.strategy == "FAIL_WITH_403":
        raise Refused("ACCESS_DENIED", "Unauthorized", "AccessDeniedException")
    else:
        invalidates, warned = False, settings.strategy == "SUCCEED_WITH_RESPONSE_HEADER"
    entry = None if invalidates else cache.get(key, call.now)
    if entry is not None:
        call.cached = True
        response = Response(entry.status, list(entry.headers), entry.body)
    else:
        if not endpoint.eager:
            await into_task()
        response = await endpoint.run(call)
        cache.put(key, response, call.host.clock.now() + settings.ttl)
    if warned:
        response.headers.append(WARNING)
    return response
