"""What a stage sets for a method: speed, caching, logging. Worked out once for a method of a stage."""

from collections.abc import Mapping
from typing import NamedTuple

from haar.services.apigateway.records import Doc


class MethodSettings(NamedTuple):
    """The settings in effect."""

    bucket: str
    """The name of the token bucket that its callers share."""
    limits: Mapping[str, float] | None
    ttl: int
    """Seconds that a response is kept; 0 for a method that is not cached."""
    guarded: bool
    """Whether only who may invalidate the cache gets past it."""
    strategy: str
    """What becomes of a request to get past it by somebody who may not."""
    level: str
    """`OFF`, `ERROR` or `INFO`."""
    trace: bool
    """Whether requests and responses are logged in full."""
    detailed: bool = False
    """Whether the method is measured by itself."""


NONE = MethodSettings("", None, 0, True, "", "OFF", False)


def method_settings(scope: str, settings: Mapping[str, Doc], path: str, http_method: str, verb: str, cached: bool) -> MethodSettings:
    """The settings of a method that is called by `verb`. Those of all methods (`*/*`) cache GET only, as on AWS."""
    own = f"{path.replace('/', '~1')}/{http_method}"
    name = next((one for one in (own, f"{path.lstrip('/')}/{http_method}", "*/*") if one in settings), None)
    if name is None:
        return NONE
    found = settings[name]
    limits = {"rateLimit": found.get("throttlingRateLimit", -1), "burstLimit": found.get("throttlingBurstLimit", -1)}
    caches = cached and found.get("cachingEnabled", False) and (name != "*/*" or verb == "GET")
    return MethodSettings(
        f"{scope}/{name}",
        limits if min(limits.values()) >= 0 else None,
        int(found.get("cacheTtlInSeconds", 0)) if caches else 0,
        found.get("requireAuthorizationForCacheControl", True),
        found.get("unauthorizedCacheControlHeaderStrategy", "SUCCEED_WITH_RESPONSE_HEADER"),
        found.get("loggingLevel", "OFF"),
        found.get("dataTraceEnabled", False),
        found.get("metricsEnabled", False),
    )
