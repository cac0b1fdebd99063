"""What is measured of HTTP and WebSocket APIs: AWS/ApiGateway in CloudWatch.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-logging.html
"""

from functools import lru_cache

from haar.services.apigatewayv2.dataplane.call import Call
from haar.services.cloudwatch.public import Measures, Sample, Subject
from haar.wire.http import Response

NAMESPACE = "AWS/ApiGateway"
KNOWN_SUBJECTS = 2_000


@lru_cache(maxsize=KNOWN_SUBJECTS)
def subject(region: str, api_id: str, stage: str, *route: tuple[str, str]) -> Subject:
    """The API; its stage; and the route, where it has detailed metrics."""
    api, at = ("ApiId", api_id), ("Stage", stage)
    dimensions = [(api,), (api, at)]
    if route:
        dimensions.append(tuple(sorted((api, at, *route))))
    return Subject(region, NAMESPACE, tuple(dimensions))


def _detailed(call: Call) -> bool:
    settings = call.stage.settings.get(call.route_key, call.stage.default)
    return bool(settings.get("DetailedMetricsEnabled"))


def note_request(call: Call, response: Response) -> None:
    """A request to an HTTP API."""
    stage, status = call.stage, response.status
    size = len(call.request.body) + (len(response.body) if isinstance(response.body, bytes) else 0)
    samples: tuple[Sample, ...] = (
        ("Count", "Count", 1.0),
        ("4xx", "Count", 1.0 if 400 <= status < 500 else 0.0),
        ("5xx", "Count", 1.0 if status >= 500 else 0.0),
        ("Latency", "Milliseconds", float(int((call.host.clock.now() - call.now) * 1000))),
        ("DataProcessed", "Bytes", float(size)),
    )
    if call.integration_ms is not None:
        samples += (("IntegrationLatency", "Milliseconds", float(call.integration_ms)),)
    route: tuple[tuple[str, str], ...] = ()
    if call.endpoint is not None and _detailed(call):
        method, _, path = call.route_key.partition(" ")
        route = (("Method", method if path else call.request.method), ("Resource", path or call.route_key))
    call.host.get(Measures).note(subject(stage.region, stage.api_id, stage.name, *route), samples)


def note_message(call: Call, kind: str, status: int) -> None:
    """A handshake, a message or an end of a WebSocket API, with the status that became of it."""
    stage, integrated = call.stage, call.integration_ms is not None
    samples: tuple[Sample, ...] = (
        ("ConnectCount" if kind == "CONNECT" else "MessageCount", "Count", 1.0),
        ("ClientError", "Count", 1.0 if not integrated and 400 <= status < 500 else 0.0),
        ("ExecutionError", "Count", 1.0 if call.error and status >= 500 else 0.0),
    )
    if call.integration_ms is not None:
        failed = call.integration_status is not None and call.integration_status >= 400
        samples += (
            ("IntegrationError", "Count", 1.0 if failed else 0.0),
            ("IntegrationLatency", "Milliseconds", float(call.integration_ms)),
        )
    route = (("Route", call.route_key),) if _detailed(call) else ()
    call.host.get(Measures).note(subject(stage.region, stage.api_id, stage.name, *route), samples)
