"""Import and export: definitions become APIs that answer, and APIs become definitions that can be imported again."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from tests.services.apigateway.conftest import Api, refused
from tests.support.platform import RunningPlatform

JSON = "application/json"


def mock(template: str = "{}", status: int | str = 200, **more: Any) -> dict[str, Any]:
    answers = {"default": {"statusCode": status, "responseTemplates": {JSON: template}}}
    return {"type": "mock", "requestTemplates": {JSON: '{"statusCode": 200}'}, "responses": answers} | more


def shop() -> dict[str, Any]:
    """A definition with a bit of everything, OpenAPI 3."""
    return {
        "openapi": "3.0.1",
        "info": {"title": "Shop", "description": "Sells", "version": "2.1"},
        "servers": [{"url": "https://example.com/{basePath}", "variables": {"basePath": {"default": "outer/inner"}}}],
        "x-amazon-apigateway-request-validators": {"all": {"validateRequestBody": True, "validateRequestParameters": True}},
        "x-amazon-apigateway-gateway-responses": {"DEFAULT_4XX": {"responseTemplates": {JSON: '{"oh": $context.error.messageString}'}}},
        "x-amazon-apigateway-binary-media-types": ["image/png"],
        "x-amazon-apigateway-minimum-compression-size": 1000,
        "x-amazon-apigateway-documentation": {
            "documentationParts": [{"location": {"type": "API"}, "properties": {"description": "All of it"}}]
        },
        "paths": {
            "/items": {
                "post": {
                    "operationId": "addItem",
                    "x-amazon-apigateway-request-validator": "all",
                    "parameters": [{"$ref": "#/components/parameters/dry"}],
                    "requestBody": {"required": True, "content": {JSON: {"schema": {"$ref": "#/components/schemas/Item"}}}},
                    "responses": {
                        "200": {
                            "description": "made",
                            "headers": {"X-Kind": {"schema": {"type": "string"}}},
                            "content": {JSON: {"schema": {"$ref": "#/components/schemas/Item"}}},
                        }
                    },
                    "x-amazon-apigateway-integration": mock('{"made": true}'),
                }
            },
            "/items/{id}": {
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
                "get": {"security": [{"signed": []}], "responses": {}, "x-amazon-apigateway-integration": mock()},
                "x-amazon-apigateway-any-method": {
                    "responses": {"200": {"description": "ok"}},
                    "x-amazon-apigateway-integration": mock('{"id": "$input.params(\'id\')"}'),
                },
            },
            "/keyed": {"get": {"security": [{"key": []}], "responses": {}, "x-amazon-apigateway-integration": mock()}},
        },
        "components": {
            "parameters": {"dry": {"name": "dry", "in": "query", "required": True, "schema": {"type": "boolean"}}},
            "schemas": {
                "Item": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": {"type": "string"}, "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Item"}}},
                }
            },
            "securitySchemes": {
                "signed": {"type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "awsSigv4"},
                "key": {"type": "apiKey", "name": "x-api-key", "in": "header"},
            },
        },
    }


@pytest.fixture
def take(platform: RunningPlatform, make_api: Callable[..., Api]) -> Iterator[Callable[..., Api]]:
    """take(definition, …) -> the API that an import makes of it, deployed to v1."""
    gateway = platform.client("apigateway")
    made: list[str] = []

    def run(definition: Any, deploy: bool = True, **settings: Any) -> Api:
        body = definition if isinstance(definition, bytes) else json.dumps(definition).encode()
        imported = gateway.import_rest_api(body=body, **settings)
        made.append(imported["id"])
        api = Api.__new__(Api)
        api.__dict__.update(make_api().__dict__)
        api.id = imported["id"]
        resources = gateway.get_resources(restApiId=api.id, limit=500)["items"]
        api.ids = {one["path"]: one["id"] for one in resources}
        if deploy:
            api.deploy()
        return api

    yield run
    for api_id in made:
        gateway.delete_rest_api(restApiId=api_id)


def test_definitions_are_written_as_jackson_writes_them(take: Callable[..., Api]):
    item = {"type": "object", "required": ["id", "name"], "properties": {"id": {"type": "integer"}}, "x": {}, "y": []}
    api = take({"openapi": "3.0.1", "info": {"title": "t", "version": "1"}, "components": {"schemas": {"Item": item}}, "paths": {}}, False)
    schema = api.gateway.get_model(restApiId=api.id, modelName="Item")["schema"]
    assert schema == (
        '{\n  "type" : "object",\n  "required" : [ "id", "name" ],\n'
        '  "properties" : {\n    "id" : {\n      "type" : "integer"\n    }\n  },\n  "x" : { },\n  "y" : [ ]\n}'
    )
    api.mock("/m")
    api.deploy()
    exported = api.gateway.get_export(restApiId=api.id, stageName="v1", exportType="oas30")["body"].read().decode()
    assert (
        exported.startswith('{\n  "openapi" : "3.0.1",\n  "info" : {\n    "title" : "t",\n')
        and '\n  "servers" : [ {\n    "url" : ' in exported
    )


def test_security_of_the_whole_definition_is_not_taken(take: Callable[..., Api]):
    schemes = {"key": {"type": "apiKey", "name": "x-api-key", "in": "header"}}
    operations = {"get": {"x-amazon-apigateway-integration": mock()}, "put": {"security": [{"key": []}]}}
    definition = {"openapi": "3.0.1", "info": {"title": "t", "version": "1"}, "paths": {"/m": operations}, "security": [{"key": []}]}
    api = take(definition | {"components": {"securitySchemes": schemes}}, False)
    found = next(one for one in api.gateway.get_resources(restApiId=api.id, embed=["methods"])["items"] if one["path"] == "/m")
    assert {verb: method["apiKeyRequired"] for verb, method in found["resourceMethods"].items()} == {"GET": False, "PUT": True}


def test_an_import_makes_the_whole_api(take: Callable[..., Api]):
    api = take(shop(), parameters={"endpointConfigurationTypes": "REGIONAL"}, failOnWarnings=True)
    shown = api.gateway.get_rest_api(restApiId=api.id)
    assert (shown["name"], shown["description"], shown["version"]) == ("Shop", "Sells", "2.1")
    assert shown["binaryMediaTypes"] == ["image/png"] and shown["minimumCompressionSize"] == 1000
    assert shown["endpointConfiguration"]["types"] == ["REGIONAL"]
    assert sorted(api.ids) == ["/", "/items", "/items/{id}", "/keyed"]
    method = api.gateway.get_method(**api.at("/items", "POST"))
    assert method["operationName"] == "addItem" and method["requestModels"] == {JSON: "Item"}
    assert method["requestParameters"] == {"method.request.querystring.dry": True}
    assert method["methodResponses"]["200"]["responseParameters"] == {"method.response.header.X-Kind": False}
    assert api.gateway.get_method(**api.at("/items/{id}", "GET"))["authorizationType"] == "AWS_IAM"
    assert api.gateway.get_method(**api.at("/keyed", "GET"))["apiKeyRequired"] is True
    schema = json.loads(api.gateway.get_model(restApiId=api.id, modelName="Item")["schema"])
    assert schema["properties"]["parts"]["items"]["$ref"] == f"https://apigateway.amazonaws.com/restapis/{api.id}/models/Item"
    parts = api.gateway.get_documentation_parts(restApiId=api.id)["items"]
    assert [json.loads(one["properties"]) for one in parts] == [{"description": "All of it"}]


def test_what_was_imported_answers(take: Callable[..., Api]):
    api = take(shop())
    assert api.call("/items?dry=1", "POST", json={"name": "a", "parts": [{"name": "b"}]}).json() == {"made": True}
    assert api.call("/items", "POST", json={"name": "a"}).json() == {"oh": "Missing required request parameters: [dry]"}
    assert api.call("/items?dry=1", "POST", json={"name": "a", "parts": [{}]}).json() == {"oh": "Invalid request body"}
    assert api.call("/items/7", "DELETE").json() == {"id": "7"}
    assert api.call("/items/7").status_code == 403 and api.call("/keyed").status_code == 403


@pytest.mark.parametrize(("mode", "path"), [("ignore", "/keyed"), ("prepend", "/outer/inner/keyed"), ("split", "/inner/keyed")])
def test_base_paths(take: Callable[..., Api], mode: str, path: str):
    assert path in take(shop(), deploy=False, parameters={"basepath": mode}).ids
    old = {"swagger": "2.0", "info": {"title": "old"}, "basePath": "/outer/inner", "paths": {"/keyed": {"get": {}}}}
    assert path in take(old, deploy=False, parameters={"basepath": mode}).ids


def test_swagger_in_yaml(take: Callable[..., Api], platform: RunningPlatform):
    text = """
swagger: "2.0"
info: {title: Old, version: 1.0}
consumes: [application/json]
produces: [application/json, text/plain]
paths:
  /pets/{petId}:
    put:
      parameters:
        - {name: petId, in: path, required: true, type: string}
        - {name: body, in: body, required: true, schema: {type: object, properties: {n: {type: integer}}}}
      security: [{token: [], api_key: []}]
      responses:
        200:
          description: fine
          schema: {$ref: "#/definitions/Pet"}
      x-amazon-apigateway-integration:
        type: http_proxy
        httpMethod: x-amazon-apigateway-any-method
        uri: https://example.com/${AWS::Region}/{petId}
        requestParameters: {integration.request.path.petId: method.request.path.petId}
        timeoutInMillis: 1000
securityDefinitions:
  api_key: {type: apiKey, name: X-API-Key, in: header}
  token:
    type: apiKey
    name: X-Token
    in: header
    x-amazon-apigateway-authtype: custom
    x-amazon-apigateway-authorizer:
      type: token
      authorizerUri: arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:1:function:f/invocations
definitions:
  Pet: {type: object}
"""
    api = take(text.encode(), deploy=False)
    method = api.gateway.get_method(**api.at("/pets/{petId}", "PUT"))
    authorizer = api.gateway.get_authorizers(restApiId=api.id)["items"][0]
    assert method["authorizationType"] == "CUSTOM" and method["apiKeyRequired"] is True
    assert method["authorizerId"] == authorizer["id"] and authorizer["identitySource"] == "method.request.header.X-Token"
    assert authorizer["type"] == "TOKEN" and "authorizerResultTtlInSeconds" not in authorizer
    assert ":us-east-1:" in authorizer["authorizerUri"]
    assert method["requestModels"][JSON].startswith("MODEL")
    assert method["methodResponses"]["200"]["responseModels"] == {JSON: "Pet", "text/plain": "Pet"}
    integration = method["methodIntegration"]
    assert integration["uri"] == "https://example.com/us-east-1/{petId}" and integration["httpMethod"] == "ANY"
    assert (integration["type"], integration["timeoutInMillis"], integration["connectionType"]) == ("HTTP_PROXY", 1000, "INTERNET")
    assert integration["cacheNamespace"] == api.ids["/pets/{petId}"]


def test_a_put_merges_or_overwrites(take: Callable[..., Api]):
    api = take(shop())
    kept = api.ids["/keyed"]
    more = {
        "openapi": "3.0.1",
        "info": {"title": "Other"},
        "x-amazon-apigateway-binary-media-types": ["image/gif"],
        "paths": {
            "/keyed": {"put": {"x-amazon-apigateway-integration": mock()}},
            "/new": {"get": {"x-amazon-apigateway-integration": mock()}},
        },
    }

    def put(mode: str) -> dict[str, list[str]]:
        api.gateway.put_rest_api(restApiId=api.id, mode=mode, body=json.dumps(more))
        items = api.gateway.get_resources(restApiId=api.id, limit=500)["items"]
        api.ids = {one["path"]: one["id"] for one in items}
        return {one["path"]: sorted(one.get("resourceMethods", {})) for one in items}

    merged = put("merge")
    assert merged["/keyed"] == ["GET", "PUT"] and merged["/new"] == ["GET"] and merged["/items"] == ["POST"]
    assert api.gateway.get_rest_api(restApiId=api.id)["binaryMediaTypes"] == ["image/png", "image/gif"]
    assert put("overwrite") == {"/": [], "/keyed": ["PUT"], "/new": ["GET"]}
    assert api.ids["/keyed"] == kept and api.gateway.get_models(restApiId=api.id)["items"] == []
    shown = api.gateway.get_rest_api(restApiId=api.id)
    assert (shown["name"], shown["binaryMediaTypes"]) == ("Other", ["image/gif"])
    assert api.call("/items?dry=1", "POST", json={"name": "a"}).status_code == 200  # the deployment is as it was


def test_errors_are_told_together(platform: RunningPlatform):
    gateway = platform.client("apigateway")

    def message(definition: Any, **more: Any) -> str:
        body = definition if isinstance(definition, bytes) else json.dumps(definition).encode()
        code, text, status = refused(gateway.import_rest_api, body=body, **more)
        assert (code, status) == ("BadRequestException", 400)
        return text

    before = len(gateway.get_rest_apis(limit=500)["items"])
    assert message(b"not: [a, definition") == "Invalid OpenAPI input."
    assert message({"title": "no version"}) == "Invalid OpenAPI input."
    lines = ["a: &a [x]"] + [f"{one}: &{one} [{', '.join(['*' + other] * 9)}]" for one, other in zip("bcdefgh", "abcdefg", strict=True)]
    nested = "\n".join(lines)
    assert message(("swagger: '2.0'\ninfo: {title: t}\n" + nested).encode()) == "Invalid OpenAPI input."
    bad = shop()
    bad["paths"]["/a b"] = {"get": {"x-amazon-apigateway-integration": mock()}}
    bad["paths"]["/x"] = {"get": {"x-amazon-apigateway-integration": {"type": "aws", "httpMethod": "POST", "uri": "nonsense"}}}
    text = message(bad)
    assert text.startswith("Errors found during import:\n\tUnable to create resource at path '/a b': Resource's path part only allow")
    assert "\n\tUnable to put integration on 'GET' for resource at path '/x': Invalid ARN specified in the request" in text
    bad = shop()
    bad["paths"]["/"] = {"get": {"x-amazon-apigateway-integration": {"type": "aws", "uri": {"Fn::Sub": "x"}}}}
    assert message(bad) == "Unable to parse API definition because of a malformed integration at path /."
    warned = shop()
    warned["paths"]["/keyed"]["get"]["responses"] = {"200": {"content": {JSON: {"schema": {"$ref": "#/components/schemas/Gone"}}}}}
    assert message(warned, failOnWarnings=True).startswith("Warnings found during import:\n\tIgnoring response model for 200 response")
    assert len(gateway.get_rest_apis(limit=500)["items"]) == before


def test_a_definition_may_not_hand_over_roles(platform: RunningPlatform, name: str):
    """Importing takes what making it by hand would take: iam:PassRole, and the right to set a policy."""
    iam = platform.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    allow = {"Effect": "Allow", "Action": ["apigateway:POST", "apigateway:DELETE"], "Resource": "*"}
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}))
    gateway = platform.client("apigateway", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    made = gateway.import_rest_api(body=json.dumps(shop()))
    gateway.delete_rest_api(restApiId=made["id"])
    role = f"arn:aws:iam::{platform.account}:role/powerful"
    handed = shop()
    uri = "arn:aws:apigateway:us-east-1:dynamodb:action/Scan"
    handed["paths"]["/x"] = {
        "get": {"x-amazon-apigateway-integration": {"type": "aws", "httpMethod": "POST", "uri": uri, "credentials": role}}
    }
    code, message, _ = refused(gateway.import_rest_api, body=json.dumps(handed))
    assert code == "AccessDeniedException" and f"iam:PassRole on resource: {role}" in message
    guarded = shop() | {"x-amazon-apigateway-policy": {"Version": "2012-10-17", "Statement": []}}
    assert "apigateway:UpdateRestApiPolicy" in refused(gateway.import_rest_api, body=json.dumps(guarded))[1]
    iam.delete_user_policy(UserName=name, PolicyName="p")
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=name)


def test_a_policy_in_a_definition_holds(take: Callable[..., Api]):
    statement = {"Effect": "Deny", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*/GET/secret"}
    allow = {"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*"}
    definition = {
        "openapi": "3.0.1",
        "info": {"title": "t"},
        "x-amazon-apigateway-policy": {"Version": "2012-10-17", "Statement": [allow, statement]},
        "paths": {path: {"get": {"x-amazon-apigateway-integration": mock()}} for path in ("/open", "/secret")},
    }
    api = take(definition)
    assert api.call("/open").status_code == 200 and api.call("/secret").status_code == 403


def export(api: Api, kind: str, extensions: str = "", accepts: str = JSON) -> tuple[Any, dict[str, Any]]:
    parameters = {"extensions": extensions} if extensions else {}
    given = api.gateway.get_export(restApiId=api.id, stageName="v1", exportType=kind, parameters=parameters, accepts=accepts)
    body = given["body"].read()
    return (json.loads(body) if accepts == JSON else yaml.safe_load(body)), given


def test_exports(take: Callable[..., Api]):
    api = take(shop())
    plain, given = export(api, "oas30")
    assert given["contentDisposition"] == 'attachment; filename="oas30_2.1.json"' and given["contentType"] == "application/octet-stream"
    assert plain["openapi"] == "3.0.1" and plain["info"] == {"title": "Shop", "description": "Sells", "version": "2.1"}
    assert plain["servers"][0]["variables"] == {"basePath": {"default": "v1"}}
    post = plain["paths"]["/items"]["post"]
    assert post["requestBody"]["content"][JSON]["schema"] == {"$ref": "#/components/schemas/Item"}
    assert post["parameters"] == [{"name": "dry", "in": "query", "required": True, "schema": {"type": "string"}}]
    assert "x-amazon-apigateway" not in json.dumps(plain["paths"]["/items"])
    assert plain["components"]["schemas"]["Item"]["properties"]["parts"]["items"] == {"$ref": "#/components/schemas/Item"}
    old, _ = export(api, "swagger", "integrations")
    assert old["swagger"] == "2.0" and old["basePath"] == "/v1" and old["schemes"] == ["https"]
    assert old["paths"]["/items"]["post"]["x-amazon-apigateway-integration"] == {
        "type": "mock",
        "responses": {"default": {"statusCode": "200", "responseTemplates": {JSON: '{"made": true}'}}},
        "requestTemplates": {JSON: '{"statusCode": 200}'},
        "passthroughBehavior": "when_no_match",
    }
    body = {"in": "body", "name": "Item", "required": True, "schema": {"$ref": "#/definitions/Item"}}
    assert body in old["paths"]["/items"]["post"]["parameters"] and old["paths"]["/items"]["post"]["consumes"] == [JSON]
    assert refused(api.gateway.get_export, restApiId=api.id, stageName="v1", exportType="raml")[1] == "No API exporter for type 'raml'"
    assert refused(api.gateway.get_export, restApiId=api.id, stageName="gone", exportType="oas30")[0] == "NotFoundException"


@pytest.mark.parametrize("kind", ["oas30", "swagger"])
@pytest.mark.parametrize("accepts", [JSON, "application/yaml"])
def test_an_export_can_be_imported_again(take: Callable[..., Api], kind: str, accepts: str):
    first = take(shop())
    definition, _ = export(first, kind, "apigateway,documentation", accepts)
    second = take(definition)
    again, _ = export(second, kind, "apigateway,documentation", accepts)
    assert json.loads(json.dumps(again).replace(second.id, first.id)) == definition
    assert second.call("/items?dry=1", "POST", json={"name": "a"}).json() == {"made": True}
    assert second.call("/keyed").json() == {"oh": "Forbidden"}


def test_documentation_parts_are_imported(api: Api):
    parts = [
        {"location": {"type": "API"}, "properties": {"description": "a"}},
        {"location": {"type": "METHOD", "path": "/", "method": "GET"}},
    ]
    body = json.dumps({"swagger": "2.0", "info": {"title": "t"}, "x-amazon-apigateway-documentation": {"documentationParts": parts}})
    made = api.gateway.import_documentation_parts(restApiId=api.id, body=body)
    assert len(made["ids"]) == 2
    assert {one["id"] for one in api.gateway.get_documentation_parts(restApiId=api.id)["items"]} == set(made["ids"])
    assert api.gateway.import_documentation_parts(restApiId=api.id, body=body)["ids"] == made["ids"]
