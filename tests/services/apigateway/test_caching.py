"""The cache of a stage: which responses are kept, by what, for how long, and who gets past it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.services.apigateway.conftest import REGION, Api, refused
from tests.support.platform import RunningPlatform

FRESH = '{"id": "$context.requestId", "canary": "$context.isCanaryRequest", "v": "$stageVariables.v"}'
"""A template that prints something else each time."""


def patch(api: Api, *operations: tuple[str, str, str], stage: str = "v1") -> Any:
    made = [{"op": op, "path": path, "value": value} for op, path, value in operations]
    return api.gateway.update_stage(restApiId=api.id, stageName=stage, patchOperations=made)


@pytest.fixture
def caching(api: Api) -> Callable[..., Api]:
    """make(key parameters, …) -> an API of which GET / is cached."""

    def make(*keys: str, settings: dict[str, str] | None = None, **more: Any) -> Api:
        parameters = dict.fromkeys((key for key in keys if key.startswith("method.request")), False)
        for method in ("GET", "POST"):
            api.mock("/", method, FRESH, requestParameters=parameters)
            operations = [{"op": "add", "path": f"/cacheKeyParameters/{key}", "value": ""} for key in keys]
            if operations:
                api.gateway.update_integration(**api.at("/", method), patchOperations=operations)
        api.deploy(**more)
        patch(api, ("replace", "/cacheClusterEnabled", "true"), ("replace", "/*/*/caching/enabled", "true"))
        for name, value in (settings or {}).items():
            patch(api, ("replace", f"/*/*/caching/{name}", value))
        return api

    return make


def same(first: Any, second: Any) -> bool:
    assert first.status_code == second.status_code == 200
    return bool(first.json()["id"] == second.json()["id"])


def test_get_is_cached_and_others_are_not(caching: Callable[..., Api]):
    api = caching()
    first = api.call("/")
    assert same(first, api.call("/?x=1")) and first.headers["x-amzn-RequestId"] == first.json()["id"]
    again = api.call("/")
    assert again.headers["x-amzn-RequestId"] != first.json()["id"]
    assert not same(api.call("/", "POST"), api.call("/", "POST"))
    patch(api, ("replace", "/~1/POST/caching/enabled", "true"))
    assert same(api.call("/", "POST"), api.call("/", "POST"))


def test_key_parameters_tell_responses_apart(caching: Callable[..., Api]):
    api = caching("method.request.querystring.q", "method.request.header.X-Tenant")
    one = api.call("/?q=1")
    assert same(one, api.call("/?q=1&other=2"))
    assert not same(one, api.call("/?q=2")) and not same(one, api.call("/?q=1&q=2")) and not same(one, api.call("/"))
    assert not same(one, api.call("/?q=1", headers={"X-Tenant": "a"}))
    assert same(api.call("/?q=1", headers={"X-Tenant": "a"}), api.call("/?q=1", headers={"x-tenant": "a"}))


def test_no_ttl_no_cluster_no_cache(caching: Callable[..., Api]):
    api = caching(settings={"ttlInSeconds": "0"})
    assert not same(api.call("/"), api.call("/"))
    patch(api, ("replace", "/*/*/caching/ttlInSeconds", "300"))
    assert same(api.call("/"), api.call("/"))
    shown = patch(api, ("replace", "/cacheClusterEnabled", "false"))
    assert shown["cacheClusterStatus"] == "NOT_AVAILABLE" and not same(api.call("/"), api.call("/"))


def test_a_flush(caching: Callable[..., Api]):
    api = caching()
    first = api.call("/")
    assert api.gateway.flush_stage_cache(restApiId=api.id, stageName="v1")["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert not same(first, api.call("/"))
    assert refused(api.gateway.flush_stage_cache, restApiId=api.id, stageName="none")[0] == "NotFoundException"


def test_who_may_not_invalidate(caching: Callable[..., Api]):
    api, past = caching(), {"Cache-Control": "max-age=0"}
    first = api.call("/")
    ignored = api.call("/", headers=past)
    assert same(first, ignored) and "Cache-control headers were ignored" in ignored.headers["Warning"]
    patch(api, ("replace", "/*/*/caching/unauthorizedCacheControlHeaderStrategy", "SUCCEED_WITHOUT_RESPONSE_HEADER"))
    ignored = api.call("/", headers=past)
    assert same(first, ignored) and "Warning" not in ignored.headers
    patch(api, ("replace", "/*/*/caching/unauthorizedCacheControlHeaderStrategy", "FAIL_WITH_403"))
    assert api.call("/", headers=past).status_code == 403 and same(first, api.call("/"))
    assert same(first, api.call("/", headers={"Cache-Control": "max-age=01, no-cache"}))


def test_anybody_may_invalidate_where_that_is_set(caching: Callable[..., Api]):
    api = caching(settings={"requireAuthorizationForCacheControl": "false"})
    first = api.call("/")
    fresh = api.call("/", headers={"Cache-Control": "no-store, max-age=0"})
    assert not same(first, fresh) and same(fresh, api.call("/"))


def test_who_is_allowed_invalidates(caching: Callable[..., Api], platform: RunningPlatform):
    api = caching(settings={"unauthorizedCacheControlHeaderStrategy": "FAIL_WITH_403"})
    root = Credentials(platform.described["access_key_id"], platform.described["secret_access_key"])
    request = AWSRequest("GET", f"{platform.endpoint}/restapis/{api.id}/v1/_user_request_/", headers={"Cache-Control": "max-age=0"})
    SigV4Auth(root, "execute-api", REGION).add_auth(request)
    first = api.call("/")
    assert not same(first, api.call("/", headers=dict(request.headers.items())))


def test_gateway_responses_are_not_kept(api: Api):
    api.mock("/", "GET", FRESH, request='{"statusCode": $input.params("s")}', requestParameters={"method.request.querystring.s": False})
    api.deploy()
    patch(api, ("replace", "/cacheClusterEnabled", "true"), ("replace", "/*/*/caching/enabled", "true"))
    assert api.call("/?s=x").status_code == 500
    assert api.call("/?s=200").status_code == 200


def test_a_canary_has_a_cache_of_its_own(api: Api):
    api.mock("/", "GET", FRESH)
    api.deploy(variables={"v": "stable"})
    patch(api, ("replace", "/cacheClusterEnabled", "true"), ("replace", "/*/*/caching/enabled", "true"))
    assert api.call("/").json()["canary"] == ""
    api.deploy(canarySettings={"percentTraffic": 100, "stageVariableOverrides": {"v": "canary"}})
    first = api.call("/")
    assert (first.json()["v"], first.json()["canary"]) == ("canary", "true") and same(first, api.call("/"))
    patch(api, ("replace", "/canarySettings/percentTraffic", "0"))
    assert api.call("/").json()["v"] == "stable"
    patch(api, ("replace", "/canarySettings/percentTraffic", "100"), ("replace", "/canarySettings/useStageCache", "true"))
    assert api.call("/").json()["v"] == "stable"  # what the stage has kept


def test_settings_of_canaries(api: Api):
    api.mock("/")
    start = "Invalid deployment content specified."
    canary = {"percentTraffic": 10}
    text = refused(api.gateway.create_deployment, restApiId=api.id, canarySettings=canary)[1]
    assert text == f"{start}Non null and non empty stageName must be provided for canary deployment. Provided value is null"
    text = refused(api.gateway.create_deployment, restApiId=api.id, stageName="no", canarySettings=canary)[1]
    assert text == f"{start}Stage no must already be created before making a canary release deployment"
    deployment = api.deploy()
    shown = patch(api, ("replace", "/canarySettings/percentTraffic", "50"))["canarySettings"]
    assert shown == {"deploymentId": deployment, "percentTraffic": 50.0, "useStageCache": False}
    text = refused(patch, api, ("remove", "/canarySettings/stageVariableOverrides", ""))[1]
    expected = "Cannot remove method setting canarySettings/stageVariableOverrides because there is no method setting for this method "
    assert text == expected
    text = refused(patch, api, ("add", "/canarySettings/deploymentId", deployment))[1]
    assert text == "Invalid add operation with path: /canarySettings/deploymentId"
    assert "canarySettings" not in patch(api, ("remove", "/canarySettings", ""))
    assert json.dumps(api.gateway.get_stage(restApiId=api.id, stageName="v1"), default=str).count("canary") == 0
