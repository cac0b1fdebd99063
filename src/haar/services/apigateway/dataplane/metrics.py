"""What is measured of REST APIs: AWS/ApiGateway in CloudWatch.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html
"""

from functools import lru_cache

from haar.services.apigateway.dataplane.call import Call
from haar.services.cloudwatch.public import Measures, Sample, Subject
from haar.wire.http import Response

NAMESPACE = "AWS/ApiGateway"
KNOWN_SUBJECTS = 2_000
COUNT: Sample = ("Count", "Count", 1.0)
REFUSED: tuple[Sample, Sample] = (("4XXError", "Count", 0.0), ("4XXError", "Count", 1.0))
FAILED: tuple[Sample, Sample] = (("5XXError", "Count", 0.0), ("5XXError", "Count", 1.0))
HIT: tuple[Sample, ...] = (("CacheHitCount", "Count", 1.0), ("CacheMissCount", "Count", 0.0))
MISS: tuple[Sample, ...] = (("CacheHitCount", "Count", 0.0), ("CacheMissCount", "Count", 1.0))


@lru_cache(maxsize=KNOWN_SUBJECTS)
def subject(region: str, name: str, stage: str, method: str, resource: str) -> Subject:
    """The API; its stage; and the method, where it has detailed metrics (`method` is empty where not)."""
    api, at = ("ApiName", name), ("Stage", stage)
    dimensions = [(api,), (api, at)]
    if method:
        dimensions.append(tuple(sorted((api, at, ("Method", method), ("Resource", resource)))))
    return Subject(region, NAMESPACE, tuple(dimensions))


def note(call: Call, response: Response) -> None:
    """One request and its answer."""
    live, status, endpoint = call.live, response.status, call.endpoint
    latency: Sample = ("Latency", "Milliseconds", float(int((call.host.clock.now() - call.now) * 1000)))
    samples: tuple[Sample, ...] = (COUNT, REFUSED[400 <= status < 500], FAILED[status >= 500], latency)
    if call.integration_ms is not None:
        samples += (("IntegrationLatency", "Milliseconds", float(call.integration_ms)),)
    if call.settings.ttl:
        samples += HIT if call.cached else MISS
    method = resource = ""
    if endpoint is not None and call.settings.detailed:
        method, resource = endpoint.http_method, endpoint.resource_path
    call.host.get(Measures).note(subject(live.region, live.compiled.name, live.stage, method, resource), samples)
