"""Routing rules of custom domain names: kept in order, and in effect before or in place of mappings."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from tests.support.platform import RunningPlatform

from haar.services.apigateway.dataplane.rules import match

from .conftest import REGION, refused

RULES = (
    {
        "Conditions": [{"MatchBasePaths": {"AnyOf": ["a", "a/b"]}}, {"MatchHeaders": {"AnyOf": [{"Header": "X-V", "ValueGlob": "beta*"}]}}],
        "Actions": [{"InvokeApi": {"ApiId": "first", "Stage": "s", "StripBasePath": True}}],
    },
    {"Conditions": [{"MatchBasePaths": {"AnyOf": ["a"]}}], "Actions": [{"InvokeApi": {"ApiId": "second", "Stage": "s"}}]},
)


@pytest.mark.parametrize(
    ("path", "headers", "api", "rest"),
    [
        ("/a/b/c", {"x-v": "beta-1"}, "first", "/c"),
        ("/a", {"x-v": "beta"}, "first", "/"),
        ("/a/x", {"x-v": "alpha"}, "second", "/a/x"),
        ("/ab", {}, None, None),
        ("/a/b", {"x-v": "[beta"}, "second", "/a/b"),
    ],
)
def test_the_first_rule_that_fits(path: str, headers: dict[str, str], api: str | None, rest: str | None) -> None:
    found = match(RULES, path, headers)
    assert (found and found.api_id, found and found.rest) == (api, rest)


@pytest.fixture
def make_mock(platform: RunningPlatform) -> Iterator[Callable[[str], str]]:
    """make(answer) -> the id of a REST API whose stage `s` answers so on every path."""
    gateway, made = platform.client("apigateway"), []

    def make(answer: str) -> str:
        api: str = gateway.create_rest_api(name=answer)["id"]
        made.append(api)
        root = gateway.get_resources(restApiId=api)["items"][0]["id"]
        resource = gateway.create_resource(restApiId=api, parentId=root, pathPart="{all+}")["id"]
        where = {"restApiId": api, "resourceId": resource, "httpMethod": "GET"}
        gateway.put_method(authorizationType="NONE", **where)
        gateway.put_method_response(statusCode="200", **where)
        gateway.put_integration(type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'}, **where)
        template = answer + " $context.path"
        gateway.put_integration_response(statusCode="200", responseTemplates={"application/json": template}, **where)
        gateway.create_deployment(restApiId=api, stageName="s")
        return api

    yield make
    for api in made:
        gateway.delete_rest_api(restApiId=api)


def test_rules_in_effect(platform: RunningPlatform, make_mock: Callable[[str], str], name: str) -> None:
    gateway, domain = platform.client("apigatewayv2"), f"{name}.example.com"
    configuration = {"CertificateArn": f"arn:aws:acm:{REGION}:{platform.account}:certificate/c", "EndpointType": "REGIONAL"}
    one, two = make_mock("one"), make_mock("two")
    gateway.create_domain_name(DomainName=domain, DomainNameConfigurations=[configuration], RoutingMode="ROUTING_RULE_THEN_API_MAPPING")
    gateway.create_api_mapping(DomainName=domain, ApiId=one, Stage="s")
    rule: dict[str, Any] = {
        "DomainName": domain,
        "Actions": [{"InvokeApi": {"ApiId": two, "Stage": "s", "StripBasePath": True}}],
        "Conditions": [{"MatchBasePaths": {"AnyOf": ["new"]}}],
        "Priority": 50,
    }
    made = gateway.create_routing_rule(**rule)
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201 and made["Priority"] == 50
    assert made["RoutingRuleArn"].endswith(f":/domainnames/{domain}/routingrules/{made['RoutingRuleId']}")

    def call(path: str) -> tuple[int, str]:
        answer = requests.get(platform.endpoint + path, headers={"Host": domain}, timeout=60)
        return answer.status_code, answer.text.partition(" ")[0]

    assert call("/new/x") == (200, "two") and call("/old/x") == (200, "one")
    assert refused(gateway.create_routing_rule, **rule)[0] == "ConflictException"
    assert refused(gateway.create_routing_rule, **(rule | {"Priority": 60, "Actions": []}))[2] == 400
    gateway.put_routing_rule(RoutingRuleId=made["RoutingRuleId"], **(rule | {"Priority": 70, "Conditions": []}))
    second = gateway.create_routing_rule(**(rule | {"Priority": 60}))["RoutingRuleId"]
    listed = gateway.list_routing_rules(DomainName=domain)["RoutingRules"]
    assert [one["RoutingRuleId"] for one in listed] == [second, made["RoutingRuleId"]]
    gateway.update_domain_name(DomainName=domain, RoutingMode="ROUTING_RULE_ONLY")
    assert gateway.get_domain_name(DomainName=domain)["RoutingMode"] == "ROUTING_RULE_ONLY"
    gateway.delete_routing_rule(DomainName=domain, RoutingRuleId=made["RoutingRuleId"])
    assert call("/new/x") == (200, "two") and call("/old/x")[0] == 403
    assert refused(gateway.get_routing_rule, DomainName=domain, RoutingRuleId=made["RoutingRuleId"])[0] == "NotFoundException"
    gateway.delete_domain_name(DomainName=domain)
