"""What is refused when it is set, and small settings that are shown."""

import json
from collections.abc import Callable
from typing import Any

from tests.services.apigateway.conftest import Api, refused
from tests.support.platform import RunningPlatform


def test_which_day_a_quota_begins_on(platform: RunningPlatform, name: str) -> None:
    create = platform.client("apigateway").create_usage_plan
    prefix = "Usage Plan quota offset must be "
    assert refused(create, name=name, quota={"limit": 1, "period": "DAY", "offset": 1})[1] == prefix + "zero in the DAY period"
    week = refused(create, name=name, quota={"limit": 1, "period": "WEEK", "offset": 7})
    assert week == ("BadRequestException", prefix + "between zero and six inclusive in the WEEK period", 400)
    month = refused(create, name=name, quota={"limit": 1, "period": "MONTH", "offset": 28})
    assert month[1] == prefix + "between zero and 27 inclusive in the MONTH period"
    assert refused(create, name=name, throttle={"rateLimit": -1.0})[2] == 400
    made = create(name=name, quota={"limit": 1, "period": "MONTH", "offset": 27})
    assert made["quota"] == {"limit": 1, "period": "MONTH", "offset": 27}


def test_a_documentation_version_of_a_stage(api: Api) -> None:
    api.mock("/m")
    api.deploy()
    create = api.gateway.create_documentation_version
    assert refused(create, restApiId=api.id, documentationVersion="1", stageName="none")[1] == "Invalid stage identifier specified"
    create(restApiId=api.id, documentationVersion="1", stageName="v1")
    assert api.gateway.get_stage(restApiId=api.id, stageName="v1")["documentationVersion"] == "1"


def test_security_policies_are_kept(make_api: Any) -> None:
    api = make_api(
        securityPolicy="SecurityPolicy_TLS13_1_3_2025_09", endpointAccessMode="BASIC", endpointConfiguration={"types": ["REGIONAL"]}
    )
    shown = api.gateway.get_rest_api(restApiId=api.id)
    assert (shown["securityPolicy"], shown["endpointAccessMode"]) == ("SecurityPolicy_TLS13_1_3_2025_09", "BASIC")
    api.mock("/m")
    api.deploy()
    whole = {"extensions": "apigateway"}
    exported = api.gateway.get_export(restApiId=api.id, stageName="v1", exportType="oas30", parameters=whole)["body"].read()
    imported = api.gateway.import_rest_api(body=exported)
    assert (imported["securityPolicy"], imported["endpointAccessMode"]) == ("SecurityPolicy_TLS13_1_3_2025_09", "BASIC")
    api.gateway.delete_rest_api(restApiId=imported["id"])
    patch = [{"op": "replace", "path": "/securityPolicy", "value": "TLS_1_2"}]
    assert api.gateway.update_rest_api(restApiId=api.id, patchOperations=patch)["securityPolicy"] == "TLS_1_2"


def test_heads_of_more_than_10240_bytes(api: Api) -> None:
    api.mock("/m")
    api.deploy()
    assert api.call("/m", headers={"X": "a" * 9000}).status_code == 200
    answer = api.call("/m", headers={"X": "a" * 5200, "Y": "b" * 5200})
    assert (answer.status_code, answer.text) == (413, "HTTP header is larger than 10240 bytes.")


def test_tags_of_what_belongs_to_no_api(platform: RunningPlatform, name: str) -> None:
    gateway = platform.client("apigateway")
    domain = gateway.create_domain_name(domainName=f"{name}.example.org", tags={"a": "1"})
    link = gateway.create_vpc_link(name=name, targetArns=["arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/x/1"])
    certificate = gateway.generate_client_certificate()
    prefix = "arn:aws:apigateway:us-east-1::"
    paths = [f"/clientcertificates/{certificate['clientCertificateId']}", f"/vpclinks/{link['id']}"]
    for arn in [domain["domainNameArn"], *(prefix + path for path in paths)]:
        gateway.tag_resource(resourceArn=arn, tags={"b": "2", "c": "3"})
        gateway.untag_resource(resourceArn=arn, tagKeys=["c"])
        assert gateway.get_tags(resourceArn=arn)["tags"] == ({"a": "1", "b": "2"} if "domainnames" in arn else {"b": "2"})
    assert gateway.get_domain_name(domainName=f"{name}.example.org")["tags"] == {"a": "1", "b": "2"}
    gateway.delete_domain_name(domainName=f"{name}.example.org")
    missing = refused(gateway.get_tags, resourceArn=domain["domainNameArn"])
    assert missing == ("NotFoundException", "Invalid domain name identifier specified", 404)


def test_an_integration_response_writes_what_its_method_declares(api: Api) -> None:
    where = api.method("/declared")
    api.gateway.put_integration(**where, type="MOCK")
    mapped = {"responseParameters": {"method.response.header.X-A": "'a'"}}
    prefix = "Invalid mapping expression specified: Validation Result: warnings : [], errors : "
    missing = prefix + "[No method response exists for method.]"
    assert refused(api.gateway.put_integration_response, **where, statusCode="200", **mapped) == ("BadRequestException", missing, 400)
    api.gateway.put_method_response(**where, statusCode="200")
    undeclared = prefix + "[Invalid mapping expression parameter specified: method.response.header.X-A]"
    assert refused(api.gateway.put_integration_response, **where, statusCode="200", **mapped) == ("BadRequestException", undeclared, 400)
    declaration = {"op": "add", "path": "/responseParameters/method.response.header.X-A", "value": "false"}
    api.gateway.update_method_response(**where, statusCode="200", patchOperations=[declaration])
    made = api.gateway.put_integration_response(**where, statusCode="200", **mapped)
    assert made["responseParameters"] == mapped["responseParameters"]
    other = [{"op": "add", "path": "/responseParameters/method.response.header.X-B", "value": "'b'"}]
    assert refused(api.gateway.update_integration_response, **where, statusCode="200", patchOperations=other)[1].endswith("header.X-B]")


def test_an_import_names_the_integration_response_that_does_not_fit(api: Api) -> None:
    answers = {"default": {"statusCode": "200", "responseParameters": {"method.response.header.X-A": "'a'"}}}
    operation = {"responses": {"200": {"description": ""}}, "x-amazon-apigateway-integration": {"type": "mock", "responses": answers}}
    document = {"openapi": "3.0.1", "info": {"title": "t", "version": "1"}, "paths": {"/a": {"get": operation}}}
    code, message, status = refused(api.gateway.put_rest_api, restApiId=api.id, body=json.dumps(document).encode())
    assert (code, status) == ("BadRequestException", 400)
    assert "Unable to put integration response on 'GET' for resource at path '/a': Invalid mapping expression specified" in message


def test_a_policy_is_shown_escaped(make_api: Callable[..., Api]) -> None:
    """As AWS shows it and Terraform reads it: the inside of a JSON text."""
    statement = {"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*"}
    api = make_api(policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    shown = api.gateway.get_rest_api(restApiId=api.id)["policy"]
    whole = f"arn:aws:execute-api:us-east-1:{api.platform.account}:{api.id}/*"
    assert '\\"Version\\":\\"2012-10-17\\"' in shown and f'{api.id}\\/*\\"' in shown
    assert json.loads(json.loads(f'"{shown}"')) == {"Version": "2012-10-17", "Statement": [statement | {"Resource": whole}]}
    listed = next(one for page in api.gateway.get_paginator("get_rest_apis").paginate() for one in page["items"] if one["id"] == api.id)
    assert listed["policy"] == shown


def test_lists_are_patched_by_member_or_by_value(make_api: Callable[..., Api]) -> None:
    api = make_api(endpointConfiguration={"types": ["PRIVATE"], "vpcEndpointIds": ["vpce-1"]})
    where = api.method("/m")

    def patched(update: Callable[..., Any], member: str, *operations: tuple[str, str, str], **what: str) -> Any:
        changes = [{"op": op, "path": path, "value": value} for op, path, value in operations]
        return update(**what, patchOperations=changes)[member]

    scopes = patched(
        api.gateway.update_method,
        "authorizationScopes",
        ("add", "/authorizationScopes", "read"),
        ("add", "/authorizationScopes/write", ""),
        ("remove", "/authorizationScopes", "read"),
        **where,
    )
    assert scopes == ["write"]
    place = "/endpointConfiguration/vpcEndpointIds"
    endpoint = patched(
        api.gateway.update_rest_api, "endpointConfiguration", ("add", place, "vpce-2"), ("remove", place, "vpce-1"), restApiId=api.id
    )
    assert endpoint["vpcEndpointIds"] == ["vpce-2"]
    key = api.gateway.create_api_key(name="k")["id"]
    assert patched(api.gateway.update_api_key, "stageKeys", ("add", "/stages", f"{api.id}/v1"), apiKey=key) == [f"{api.id}/v1"]
    assert patched(api.gateway.update_api_key, "stageKeys", ("remove", "/stages", f"{api.id}/v1"), apiKey=key) == []
    api.gateway.delete_api_key(apiKey=key)
    wrong = [{"op": "add", "path": "/binaryMediaTypes", "value": "a/b"}]
    assert refused(api.gateway.update_rest_api, restApiId=api.id, patchOperations=wrong)[1] == "Invalid patch path /binaryMediaTypes"
