"""Patch operations on records."""

import copy
from typing import Any

import pytest

from haar.services.apigateway.patch import Entries, Members, Style, Value, apply, boolean, integer, text_or_none
from haar.services.apigateway.stages import patch_stage
from haar.services.apigateway.usageplans import patch_plan
from haar.wire.errors import ServiceError

RULES = {
    "/name": Value(),
    "/description": Value(text_or_none, ("add", "remove", "replace")),
    "/on": Value(boolean),
    "/size": Value(integer("bad size", 0, 9, optional=True)),
    "/types": Members(),
    "/parameters": Entries(boolean),
    "/templates": Entries(missing="no such template"),
    "/deep/member": Value(),
}
RECORD: dict[str, Any] = {"name": "a", "types": ["x"], "templates": {"application/json": "{}"}}


def operation(op: str, path: str | None, value: str | None = None) -> dict[str, Any]:
    return {"op": op, "path": path} | ({} if value is None else {"value": value})


@pytest.mark.parametrize(
    "operations, expected",
    [
        ([operation("replace", "/name", "b")], {"name": "b"}),
        ([operation("add", "/description", "d")], {"description": "d"}),
        ([operation("replace", "/description", "d"), operation("remove", "/description")], {}),
        ([operation("replace", "/description", "")], {}),
        ([operation("replace", "/on", "TRUE")], {"on": True}),
        ([operation("replace", "/on", "whatever")], {"on": False}),
        ([operation("replace", "/size", "9")], {"size": 9}),
        ([operation("replace", "/size", "9"), operation("replace", "/size")], {}),
        ([operation("add", "/types/image~1png")], {"types": ["x", "image/png"]}),
        ([operation("add", "/types/x")], {"types": ["x"]}),
        ([operation("add", "/types/a~0b")], {"types": ["x", "a~b"]}),
        ([operation("add", "/types/y"), operation("replace", "/types/x", "z")], {"types": ["y", "z"]}),
        ([operation("remove", "/types/x")], {"types": None}),
        ([operation("add", "/parameters/method.request.header.A", "true")], {"parameters": {"method.request.header.A": True}}),
        ([operation("replace", "/templates/application~1json", "x")], {"templates": {"application/json": "x"}}),
        ([operation("remove", "/templates/application~1json")], {"templates": None}),
        ([operation("replace", "/deep/member", "x")], {"deep": {"member": "x"}}),
    ],
)
def test_applies(operations: list[dict[str, Any]], expected: dict[str, Any]):
    before = copy.deepcopy(RECORD)
    wanted = {key: value for key, value in (RECORD | expected).items() if value is not None}
    assert apply(RECORD, operations, RULES) == wanted
    assert before == RECORD, "what was given stays as it is"


@pytest.mark.parametrize(
    "wrong, code, message",
    [
        (operation("replace", "/nothing", "x"), "BadRequestException", "Invalid patch path /nothing"),
        (operation("replace", None, "x"), "BadRequestException", "Invalid patch path null"),
        (operation("add", "/types", "x"), "BadRequestException", "Invalid patch path /types"),
        (operation("add", "/templates/application/json", "x"), "BadRequestException", "Invalid patch path /templates/application/json"),
        (operation("add", "/name", "x"), "BadRequestException", "Invalid patch operation specified. Must be one of: [replace]"),
        (operation("replace", "/size", "10"), "BadRequestException", "bad size"),
        (operation("replace", "/size", "x"), "BadRequestException", "bad size"),
        (operation("remove", "/parameters/x"), "NotFoundException", "Invalid parameter name specified"),
        (operation("replace", "/templates/text~1xml", "x"), "NotFoundException", "no such template"),
        (operation("add", "/templates/text~1xml"), "BadRequestException", "Invalid null or empty value in templates"),
    ],
)
def test_refuses(wrong: dict[str, Any], code: str, message: str):
    with pytest.raises(ServiceError) as refused:
        apply(RECORD, [wrong], RULES)
    assert (refused.value.code, refused.value.message) == (code, message)


def test_records_with_a_list_of_paths_name_it():
    rules = {"/description": Value(text_or_none), "/schema": Value()}
    for wrong, message in [
        (
            operation("replace", "/name", "x"),
            "Invalid patch path  '/name' specified for op 'replace'. Must be one of: [/description, /schema]",
        ),
        (operation("add", "/schema", "x"), "Invalid patch path  '/schema' specified for op 'add'. Please choose supported operations"),
    ]:
        with pytest.raises(ServiceError) as refused:
            apply({}, [wrong], rules, Style.LISTED)
        assert refused.value.message == message


def test_a_stage_s_method_settings_begin_with_their_defaults():
    stage: dict[str, Any] = {"methodSettings": {}, "variables": {"a": "1"}}
    changed = patch_stage(
        stage,
        [
            operation("replace", "/*/*/throttling/burstLimit", "123"),
            operation("replace", "/~1pets/GET/logging/loglevel", "INFO"),
            operation("replace", "/variables/b", "2"),
            operation("remove", "/variables/a"),
            operation("replace", "/tracingEnabled", "true"),
        ],
    )
    assert changed["methodSettings"]["*/*"] == {
        "metricsEnabled": False,
        "dataTraceEnabled": False,
        "throttlingBurstLimit": 123,
        "throttlingRateLimit": 10000.0,
        "cachingEnabled": False,
        "cacheTtlInSeconds": 300,
        "cacheDataEncrypted": False,
        "requireAuthorizationForCacheControl": True,
        "unauthorizedCacheControlHeaderStrategy": "SUCCEED_WITH_RESPONSE_HEADER",
    }
    assert changed["methodSettings"]["~1pets/GET"]["loggingLevel"] == "INFO"
    assert changed["variables"] == {"b": "2"} and changed["tracingEnabled"] is True
    assert patch_stage(changed, [operation("remove", "/*/*")])["methodSettings"].keys() == {"~1pets/GET"}
    with pytest.raises(ServiceError, match=r"Invalid method setting path: /tags/tag1\. Must be one of: \[/deploymentId"):
        patch_stage(stage, [operation("replace", "/tags/tag1", "x")])


def test_a_canary_is_promoted_by_copying():
    stage = {"deploymentId": "a", "variables": {"x": "1"}, "methodSettings": {}}
    stage["canarySettings"] = {"deploymentId": "b", "stageVariableOverrides": {"x": "2"}, "percentTraffic": 10.0}
    copied = patch_stage(
        stage,
        [
            {"op": "copy", "from": "/canarySettings/deploymentId", "path": "/deploymentId"},
            {"op": "copy", "from": "/canarySettings/stageVariableOverrides", "path": "/variables"},
            {"op": "remove", "path": "/canarySettings"},
        ],
    )
    assert copied == {"deploymentId": "b", "variables": {"x": "2"}, "methodSettings": {}}


def test_the_variables_of_a_canary_are_replaced_as_a_whole():
    stage = {"deploymentId": "a", "methodSettings": {}, "canarySettings": {"stageVariableOverrides": {"x": "1"}}}
    changed = patch_stage(stage, [operation("replace", "/canarySettings/stageVariableOverrides", '{"y": "2"}')])
    assert changed["canarySettings"]["stageVariableOverrides"] == {"y": "2"}


def test_a_usage_plan_s_stages():
    plan: dict[str, Any] = {"name": "p", "apiStages": []}
    plan = patch_plan(plan, [operation("add", "/apiStages", "abc:v1"), operation("add", "/apiStages", "abc:v2")])
    assert plan["apiStages"] == [{"apiId": "abc", "stage": "v1"}, {"apiId": "abc", "stage": "v2"}]
    plan = patch_plan(plan, [operation("replace", "/apiStages/abc:v1/throttle/~1pets/GET/rateLimit", "5")])
    assert plan["apiStages"][0]["throttle"] == {"/pets/GET": {"rateLimit": 5.0}}
    plan = patch_plan(plan, [operation("add", "/apiStages/abc:v1/throttle//a/b/PUT/burstLimit", "3")])
    plan = patch_plan(plan, [operation("remove", "/apiStages/abc:v1/throttle/~1pets/GET")])
    assert plan["apiStages"][0]["throttle"] == {"/a/b/PUT": {"burstLimit": 3}}
    whole = '{"/x/GET": {"rateLimit": 2, "burstLimit": 4}}'
    plan = patch_plan(plan, [operation("replace", "/apiStages/abc:v1/throttle", whole)])
    assert plan["apiStages"][0]["throttle"] == {"/x/GET": {"rateLimit": 2.0, "burstLimit": 4}}
    with pytest.raises(ServiceError):
        patch_plan(plan, [operation("replace", "/apiStages/abc:v1/throttle", "nonsense")])
    plan = patch_plan(plan, [operation("remove", "/apiStages", "abc:v1"), operation("replace", "/throttle/burstLimit", "7")])
    assert plan["apiStages"] == [{"apiId": "abc", "stage": "v2"}] and plan["throttle"] == {"burstLimit": 7}
