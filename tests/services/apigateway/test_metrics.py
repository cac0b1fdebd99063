"""What is measured of REST APIs."""

from collections.abc import Callable
from typing import Any

from tests.services.apigateway.conftest import Api
from tests.support.metrics import total


def test_requests_are_counted_by_api_stage_and_method(api: Api, client: Callable[..., Any]) -> None:
    api.mock("/m")
    api.mock("/c")
    api.deploy(cacheClusterEnabled=True, cacheClusterSize="0.5")
    operations = [
        {"op": "replace", "path": "/~1m/GET/metrics/enabled", "value": "true"},
        {"op": "replace", "path": "/~1c/GET/caching/enabled", "value": "true"},
    ]
    api.gateway.update_stage(restApiId=api.id, stageName="v1", patchOperations=operations)
    for path in ("/m", "/m", "/none", "/c", "/c", "/c"):
        api.call(path)
    cloudwatch, name = client("cloudwatch"), api.gateway.get_rest_api(restApiId=api.id)["name"]
    stage = {"ApiName": name, "Stage": "v1"}
    assert total(cloudwatch, "Count", 6, ApiName=name) == 6
    assert total(cloudwatch, "Count", 6, **stage) == 6
    assert total(cloudwatch, "4XXError", 1, **stage) == 1
    assert total(cloudwatch, "CacheHitCount", 2, **stage) == 2
    assert total(cloudwatch, "CacheMissCount", 1, **stage) == 1
    assert total(cloudwatch, "Count", 2, Method="GET", Resource="/m", **stage) == 2
    assert total(cloudwatch, "Count", 0, Method="GET", Resource="/c", **stage) == 0
    assert total(cloudwatch, "5XXError", 0, **stage) == 0
