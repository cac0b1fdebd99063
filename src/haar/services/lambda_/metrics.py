"""What is measured of functions: AWS/Lambda in CloudWatch.

https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
"""

from functools import lru_cache

from haar.execution.contract import FunctionSpec, InvocationResult
from haar.services.cloudwatch.public import Measures, Sample, Subject
from haar.services.lambda_.names import LATEST, FunctionName
from haar.services.service import Host

NAMESPACE = "AWS/Lambda"
KNOWN_SUBJECTS = 2_000
THROTTLED: tuple[Sample, ...] = (("Throttles", "Count", 1.0),)


@lru_cache(maxsize=KNOWN_SUBJECTS)
def subject(name: FunctionName, version: str) -> Subject:
    """All functions; the function; what it was called by, which is a resource; and the version that an alias chose."""
    by_name = ("FunctionName", name.name)
    resource = ("Resource", f"{name.name}:{name.qualifier}" if name.qualifier else name.name)
    dimensions = [(), (by_name,), (by_name, resource)]
    if name.qualifier and name.qualifier not in (version, LATEST):
        dimensions.append((("ExecutedVersion", version), by_name, resource))
    return Subject(name.region, NAMESPACE, tuple(dimensions))


def note_run(host: Host, name: FunctionName, spec: FunctionSpec, result: InvocationResult) -> None:
    samples = (
        ("Invocations", "Count", 1.0),
        ("Errors", "Count", 0.0 if result.error is None else 1.0),
        ("Duration", "Milliseconds", result.duration_ms),
        ("Throttles", "Count", 0.0),
    )
    host.get(Measures).note(subject(name, spec.version), samples)


def note_throttle(host: Host, name: FunctionName, spec: FunctionSpec) -> None:
    host.get(Measures).note(subject(name, spec.version), THROTTLED)
