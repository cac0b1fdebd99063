"""ImportApi, ReimportApi, ExportApi: an API from a definition serves, and comes back as one."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from tests.support.platform import RunningPlatform

from .conftest import REGION, HttpApi, refused

Import = Callable[..., Any]


@pytest.fixture
def bring(platform: RunningPlatform) -> Iterator[Import]:
    """bring(definition, …) -> what ImportApi answers; the API goes when the test ends."""
    gateway, made = platform.client("apigatewayv2"), []

    def run(definition: Any, **more: Any) -> Any:
        body = definition if isinstance(definition, str) else json.dumps(definition)
        answer = gateway.import_api(Body=body, **more)
        made.append(answer["ApiId"])
        return answer

    yield run
    for api_id in made:
        gateway.delete_api(ApiId=api_id)


def definition(function: str, **more: Any) -> dict[str, Any]:
    uri = f"arn:aws:apigateway:${{AWS::Region}}:lambda:path/2015-03-31/functions/{function}/invocations"
    proxy = {"type": "aws_proxy", "httpMethod": "POST", "uri": uri, "payloadFormatVersion": "2.0"}
    return {
        "openapi": "3.0.1",
        "info": {"title": "pets", "version": "2.5", "description": "all of them"},
        "servers": [{"url": "https://example.com/base/path"}],
        "tags": [{"name": "team", "x-amazon-apigateway-tag-value": "blue"}],
        "paths": {
            "/pets/{id}": {
                "get": {
                    "operationId": "GetPet",
                    "security": [{"tokens": ["read"]}],
                    "x-amazon-apigateway-integration": {"$ref": "#/components/x-amazon-apigateway-integrations/all"},
                    "responses": {"default": {"description": "any"}},
                },
                "x-amazon-apigateway-any-method": {
                    "x-amazon-apigateway-integration": {"$ref": "#/components/x-amazon-apigateway-integrations/all"},
                    "requestBody": {"content": {}},
                },
            },
            "/$default": {"x-amazon-apigateway-any-method": {"isDefaultRoute": True, "x-amazon-apigateway-integration": proxy}},
        },
        "components": {
            "x-amazon-apigateway-integrations": {"all": proxy},
            "securitySchemes": {
                "tokens": {
                    "type": "oauth2",
                    "x-amazon-apigateway-authorizer": {
                        "type": "jwt",
                        "jwtConfiguration": {"issuer": "https://issuer.example.com", "audience": ["pets"]},
                        "identitySource": "$request.header.Authorization",
                    },
                }
            },
        },
        "x-amazon-apigateway-cors": {"allowOrigins": ["https://example.com"], "allowMethods": ["GET"], "maxAge": 60},
        "x-amazon-apigateway-importexport-version": "1.0",
    } | more


def test_an_imported_api_has_all_its_parts(platform: RunningPlatform, bring: Import, echo: str) -> None:
    made = bring(definition(echo))
    assert (made["Name"], made["Version"], made["Description"]) == ("pets", "2.5", "all of them")
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201 and made["Tags"] == {"team": "blue"}
    assert made["CorsConfiguration"] == {"AllowOrigins": ["https://example.com"], "AllowMethods": ["GET"], "MaxAge": 60}
    assert len(made["ImportInfo"]) == 1 and "requestBody" in made["ImportInfo"][0] and "Warnings" not in made
    gateway = platform.client("apigatewayv2")
    routes = {route["RouteKey"]: route for route in gateway.get_routes(ApiId=made["ApiId"])["Items"]}
    assert set(routes) == {"GET /pets/{id}", "ANY /pets/{id}", "$default"}
    assert routes["GET /pets/{id}"]["OperationName"] == "GetPet"
    assert routes["GET /pets/{id}"]["Target"] == routes["ANY /pets/{id}"]["Target"] != routes["$default"]["Target"]
    assert (routes["GET /pets/{id}"]["AuthorizationType"], routes["GET /pets/{id}"]["AuthorizationScopes"]) == ("JWT", ["read"])
    [authorizer] = gateway.get_authorizers(ApiId=made["ApiId"])["Items"]
    assert authorizer["JwtConfiguration"] == {"Issuer": "https://issuer.example.com", "Audience": ["pets"]}
    gateway.create_stage(ApiId=made["ApiId"], StageName="$default", AutoDeploy=True)
    api = HttpApi.__new__(HttpApi)
    api.platform, api.id, api.session = platform, made["ApiId"], __import__("requests").Session()
    assert api.call("/pets/7", "POST").json()["event"]["routeKey"] == "ANY /pets/{id}"
    assert api.call("/pets/7").status_code == 401
    assert api.call("/other").json()["event"]["routeKey"] == "$default"


@pytest.mark.parametrize(("how", "key"), [("ignore", "GET /x"), ("prepend", "GET /base/path/x"), ("split", "GET /path/x")])
def test_the_base_path_is_taken_as_asked(platform: RunningPlatform, bring: Import, echo: str, how: str, key: str) -> None:
    paths = {"/x": {"get": {"x-amazon-apigateway-integration": {"type": "http_proxy", "httpMethod": "GET", "uri": "http://x.example"}}}}
    made = bring(definition(echo, paths=paths), Basepath=how)
    [route] = platform.client("apigatewayv2").get_routes(ApiId=made["ApiId"])["Items"]
    assert route["RouteKey"] == key


def test_what_cannot_be_imported_is_said(platform: RunningPlatform, bring: Import, echo: str) -> None:
    gateway = platform.client("apigatewayv2")
    bad = refused(gateway.import_api, Body="- a list")
    assert bad == ("BadRequestException", "Invalid OpenAPI input.", 400)
    assert refused(gateway.import_api, Body=json.dumps({"swagger": "2.0", "info": {"title": "x"}, "paths": {}}))[2] == 400
    missing = refused(gateway.import_api, Body=json.dumps({"openapi": "3.0.1", "info": {}}))[1]
    assert "info.title" in missing and "paths" in missing and missing.startswith("Errors found during import:\n\t")
    mocked = {"/x": {"get": {"x-amazon-apigateway-integration": {"type": "mock"}}}}
    warned = refused(gateway.import_api, Body=json.dumps(definition(echo, paths=mocked)), FailOnWarnings=True)
    assert warned[1].startswith("Warnings found during import:\n\t") and "MOCK" in warned[1]
    made = bring(definition(echo, paths=mocked))
    assert len(made["Warnings"]) == 1
    [route] = gateway.get_routes(ApiId=made["ApiId"])["Items"]
    assert "Target" not in route
    unexpected = {"/x": {"get": mocked["/x"]["get"] | {"responses": {"falseResponse": {"statusCode": 202}}}}}
    odd = refused(gateway.import_api, Body=json.dumps(definition(echo, paths=unexpected)), FailOnWarnings=True)[1]
    assert "Parse issue: attribute paths.'/x'(get).responses.falseResponse is unexpected" in odd
    far = {"/x": {"get": {"x-amazon-apigateway-integration": {"type": "http_proxy", "httpMethod": "GET", "uri": "http://x.example"}}}}
    far["/x"]["get"]["x-amazon-apigateway-integration"] |= {"connectionType": "FAR"}
    unknown = refused(gateway.import_api, Body=json.dumps(definition(echo, paths=far)))[1]
    assert "Value 'FAR' at 'connectionType' failed to satisfy constraint" in unknown
    broken = {"/x": {"get": {"x-amazon-apigateway-integration": {"type": "http_proxy", "httpMethod": "GET", "uri": "nowhere"}}}}
    assert "GET /x" in refused(gateway.import_api, Body=json.dumps(definition(echo, paths=broken)))[1]


def test_reimporting_replaces_all_but_stages(platform: RunningPlatform, bring: Import, echo: str) -> None:
    gateway = platform.client("apigatewayv2")
    made = bring(definition(echo))
    gateway.create_stage(ApiId=made["ApiId"], StageName="$default", AutoDeploy=True)
    before = {route["RouteKey"]: route["RouteId"] for route in gateway.get_routes(ApiId=made["ApiId"])["Items"]}
    paths = {"/$default": definition(echo)["paths"]["/$default"], "/new": definition(echo)["paths"]["/$default"]}
    changed = definition(echo, paths=paths, info={"title": "renamed", "version": "3"})
    changed.pop("x-amazon-apigateway-cors")
    after = gateway.reimport_api(ApiId=made["ApiId"], Body=json.dumps(changed))
    assert (after["Name"], after["Version"], after["ApiId"]) == ("renamed", "3", made["ApiId"])
    assert after["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert "CorsConfiguration" not in after and "Description" not in after
    routes = {route["RouteKey"]: route["RouteId"] for route in gateway.get_routes(ApiId=made["ApiId"])["Items"]}
    assert set(routes) == {"$default", "ANY /new"} and routes["$default"] == before["$default"]
    assert [one["StageName"] for one in gateway.get_stages(ApiId=made["ApiId"])["Items"]] == ["$default"]
    assert refused(gateway.reimport_api, ApiId="none", Body=json.dumps(changed))[0] == "NotFoundException"


def test_an_export_comes_back_as_the_same_api(platform: RunningPlatform, bring: Import, echo: str) -> None:
    gateway = platform.client("apigatewayv2")
    made = bring(definition(echo))
    wanted: dict[str, Any] = {"ApiId": made["ApiId"], "Specification": "OAS30"}
    told = json.loads(gateway.export_api(OutputType="JSON", **wanted)["body"].read())
    assert told["openapi"] == "3.0.1" and told["info"] == {"title": "pets", "description": "all of them", "version": "2.5"}
    get = told["paths"]["/pets/{id}"]["get"]
    assert get["responses"] == {"default": {"description": "Default response for GET /pets/{id}"}}
    assert get["parameters"][0]["name"] == "id" and get["security"] == [{"tokens": ["read"]}]
    assert get["x-amazon-apigateway-integration"]["type"] == "aws_proxy"
    assert f":{REGION}:lambda:path" in get["x-amazon-apigateway-integration"]["uri"]
    assert told["paths"]["/$default"]["x-amazon-apigateway-any-method"]["isDefaultRoute"] is True
    assert told["x-amazon-apigateway-importexport-version"] == "1.0"
    assert yaml.safe_load(gateway.export_api(OutputType="YAML", **wanted)["body"].read()) == told
    again = bring(told)
    second = json.loads(gateway.export_api(OutputType="JSON", **(wanted | {"ApiId": again["ApiId"]}))["body"].read())
    assert second | {"servers": 0} == told | {"servers": 0}
    plain = json.loads(gateway.export_api(OutputType="JSON", IncludeExtensions=False, **wanted)["body"].read())
    assert not [name for name in json.dumps(plain).split('"') if name.startswith("x-amazon")]
    assert refused(gateway.export_api, OutputType="XML", **wanted)[2] == 400
    assert refused(gateway.export_api, OutputType="JSON", **(wanted | {"Specification": "OAS20"}))[2] == 400
    assert refused(gateway.export_api, OutputType="JSON", StageName="none", **wanted)[0] == "NotFoundException"


def test_a_stage_is_exported_as_it_was_deployed(platform: RunningPlatform, bring: Import, echo: str) -> None:
    gateway = platform.client("apigatewayv2")
    made = bring(definition(echo))
    gateway.create_stage(ApiId=made["ApiId"], StageName="v1")
    gateway.create_deployment(ApiId=made["ApiId"], StageName="v1")
    gateway.create_route(ApiId=made["ApiId"], RouteKey="GET /later")
    wanted: dict[str, Any] = {"ApiId": made["ApiId"], "Specification": "OAS30", "OutputType": "JSON"}
    staged = json.loads(gateway.export_api(StageName="v1", **wanted)["body"].read())
    assert "/later" not in staged["paths"] and staged["servers"][0]["variables"]["basePath"]["default"] == "v1"
    assert "/later" in json.loads(gateway.export_api(**wanted)["body"].read())["paths"]


def test_a_definition_hands_over_no_role_that_its_sender_may_not(platform: RunningPlatform, bring: Import, echo: str, name: str) -> None:
    iam = platform.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    mine = platform.client("apigatewayv2", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    given = definition(echo)
    assert refused(mine.import_api, Body=json.dumps(given))[::2] == ("AccessDeniedException", 403)
    statement = {"Effect": "Allow", "Action": "apigateway:*", "Resource": "*"}
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    made = mine.import_api(Body=json.dumps(given))["ApiId"]
    given["paths"]["/$default"]["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"]["credentials"] = (
        f"arn:aws:iam::{platform.account}:role/{name}"
    )
    for call, more in ((mine.import_api, {}), (mine.reimport_api, {"ApiId": made})):
        code, message, status = refused(call, Body=json.dumps(given), **more)
        assert (code, status) == ("AccessDeniedException", 403) and "iam:PassRole" in message
    mine.delete_api(ApiId=made)
    iam.delete_user_policy(UserName=name, PolicyName="p")
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=name)
