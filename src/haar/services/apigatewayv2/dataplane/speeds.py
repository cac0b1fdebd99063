"""How fast the routes of HTTP and WebSocket APIs may be called."""

from haar.services.apigateway.public import Buckets
from haar.services.apigatewayv2.dataplane.answers import throttled
from haar.services.apigatewayv2.dataplane.call import Call
from haar.services.service import Host

DEFAULT_RATE = 10_000.0


class Speeds:
    """The buckets of a host's routes."""

    def __init__(self, host: Host) -> None:
        self.buckets = Buckets()


def throttle(call: Call) -> None:
    """Holds a route to the speed that its stage sets. Raises Refused (429)."""
    stage, key = call.stage, call.route_key
    name, settings = key, stage.settings.get(key)
    if settings is None or "ThrottlingRateLimit" not in settings:
        name, settings = "", stage.default
    if "ThrottlingRateLimit" not in settings and "ThrottlingBurstLimit" not in settings:
        return
    rate = settings.get("ThrottlingRateLimit", DEFAULT_RATE)
    limits = {"rateLimit": rate, "burstLimit": settings.get("ThrottlingBurstLimit", max(rate, 1.0))}
    if not call.host.get(Speeds).buckets.take(f"{stage.api_id}/{stage.name}/{name}", limits, call.now):
        raise throttled()
