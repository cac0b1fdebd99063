"""Managing REST APIs with boto3: what is answered, what is refused, and in which words."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.services.apigateway.conftest import Api, refused
from tests.support.platform import RunningPlatform


def plain(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def test_an_api_from_its_creation_to_its_end(client: Callable[..., Any], platform: RunningPlatform):
    gateway = client("apigateway")
    made = gateway.create_rest_api(name="books", description="d", version="1", binaryMediaTypes=["image/png"], tags={"team": "a"})
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert re.fullmatch(r"[a-z0-9]{10}", made["id"]) and re.fullmatch(r"[a-z0-9]{10}", made["rootResourceId"])
    expected = {
        "name": "books",
        "description": "d",
        "version": "1",
        "binaryMediaTypes": ["image/png"],
        "tags": {"team": "a"},
        "apiKeySource": "HEADER",
        "disableExecuteApiEndpoint": False,
        "endpointConfiguration": {"types": ["EDGE"], "ipAddressType": "ipv4"},
    }
    assert {name: made[name] for name in expected} == expected
    got = gateway.get_rest_api(restApiId=made["id"])
    assert plain(got) == plain(made)
    assert made["id"] in [one["id"] for one in gateway.get_rest_apis(limit=500)["items"]]
    deleted = gateway.delete_rest_api(restApiId=made["id"])
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 202
    gone = ("NotFoundException", f"Invalid API identifier specified {platform.account}:{made['id']}", 404)
    assert refused(gateway.get_rest_api, restApiId=made["id"]) == gone
    assert refused(gateway.delete_rest_api, restApiId=made["id"]) == gone
    assert made["id"] not in [one["id"] for one in gateway.get_rest_apis(limit=500)["items"]]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"description": ""}, "Description cannot be an empty string"),
        ({"minimumCompressionSize": -1}, "Invalid minimum compression size, must be between 0 and 10485760"),
        ({"endpointConfiguration": {"types": []}}, "REGIONAL Configuration and EDGE Configuration cannot be both DISABLED."),
        ({"endpointConfiguration": {"types": ["EDGE", "REGIONAL"]}}, "Cannot create an api with multiple Endpoint Types."),
        (
            {"endpointConfiguration": {"types": ["PRIVATE"], "ipAddressType": "ipv4"}},
            "Only dualstack ipAddressType is supported for Private APIs.",
        ),
    ],
)
def test_apis_that_cannot_be(client: Callable[..., Any], settings: dict[str, Any], message: str):
    assert refused(client("apigateway").create_rest_api, name="x", **settings) == ("BadRequestException", message, 400)


def test_apis_are_listed_in_pages(make_api: Callable[..., Api], client: Callable[..., Any]):
    mine = {make_api().id for _ in range(5)}
    gateway, seen, position = client("apigateway"), [], None
    while True:
        page = gateway.get_rest_apis(limit=2, **({"position": position} if position else {}))
        assert len(page["items"]) <= 2
        seen += [one["id"] for one in page["items"]]
        position = page.get("position")
        if position is None:
            break
    assert mine <= set(seen) and len(seen) == len(set(seen))
    assert not mine & {one["id"] for one in client("apigateway", region="eu-west-1").get_rest_apis(limit=500)["items"]}
    assert refused(client("apigateway", region="eu-west-1").get_rest_api, restApiId=next(iter(mine)))[0] == "NotFoundException"


def test_an_api_is_patched(api: Api):
    patched = api.gateway.update_rest_api(
        restApiId=api.id,
        patchOperations=[
            {"op": "replace", "path": "/name", "value": "new"},
            {"op": "add", "path": "/binaryMediaTypes/image~1png"},
            {"op": "replace", "path": "/minimumCompressionSize", "value": "10"},
            {"op": "replace", "path": "/endpointConfiguration/types/EDGE", "value": "REGIONAL"},
        ],
    )
    assert patched["name"] == "new" and patched["binaryMediaTypes"] == ["image/png"] and patched["minimumCompressionSize"] == 10
    assert patched["endpointConfiguration"]["types"] == ["REGIONAL"] and patched["tags"] == {}

    def wrong(op: str, path: str, value: str = "x") -> str:
        return refused(api.gateway.update_rest_api, restApiId=api.id, patchOperations=[{"op": op, "path": path, "value": value}])[1]

    assert wrong("add", "/binaryMediaTypes") == "Invalid patch path /binaryMediaTypes"
    assert wrong("remove", "/minimumCompressionSize") == "Invalid patch operation specified. Must be one of: [replace]"
    assert wrong("replace", "/endpointConfiguration/types/0") == "Invalid EndpointTypes specified. Valid options are REGIONAL,EDGE,PRIVATE"
    assert wrong("replace", "/minimumCompressionSize", "-1") == "Invalid minimum compression size, must be between 0 and 10485760"
    assert api.gateway.get_rest_api(restApiId=api.id)["name"] == "new", "a refused patch changes nothing"


def test_resources_make_a_tree(api: Api):
    gateway = api.gateway
    pets = gateway.create_resource(restApiId=api.id, parentId=api.ids["/"], pathPart="pets")
    assert plain(pets) == {"id": pets["id"], "parentId": api.ids["/"], "pathPart": "pets", "path": "/pets"}
    assert re.fullmatch(r"[a-z0-9]{6}", pets["id"])
    child = gateway.create_resource(restApiId=api.id, parentId=pets["id"], pathPart="{id}")
    moved = gateway.update_resource(
        restApiId=api.id, resourceId=pets["id"], patchOperations=[{"op": "replace", "path": "/pathPart", "value": "dogs"}]
    )
    assert moved["path"] == "/dogs"
    assert gateway.get_resource(restApiId=api.id, resourceId=child["id"])["path"] == "/dogs/{id}"
    assert [one["path"] for one in gateway.get_resources(restApiId=api.id)["items"]] == ["/", "/dogs", "/dogs/{id}"]
    api.ids["/dogs/{id}"] = child["id"]
    api.method("/dogs/{id}", "GET")
    got = gateway.get_resource(restApiId=api.id, resourceId=child["id"])
    assert got["resourceMethods"] == {"GET": {}}
    got = gateway.get_resource(restApiId=api.id, resourceId=child["id"], embed=["methods"])
    assert got["resourceMethods"] == {"GET": {"httpMethod": "GET", "authorizationType": "NONE", "apiKeyRequired": False}}
    assert gateway.delete_resource(restApiId=api.id, resourceId=pets["id"])["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert [one["path"] for one in gateway.get_resources(restApiId=api.id)["items"]] == ["/"]
    assert refused(gateway.delete_resource, restApiId=api.id, resourceId=child["id"])[1] == "Invalid Resource identifier specified"


def test_resources_that_cannot_be(api: Api):
    gateway, root = api.gateway, api.ids["/"]

    def create(part: str, parent: str = root) -> tuple[str, str, int]:
        return refused(gateway.create_resource, restApiId=api.id, parentId=parent, pathPart=part)

    api.resource("/pets")
    api.resource("/{proxy+}")
    assert create("pets") == ("ConflictException", "Another resource with the same parent already has this name: pets", 409)
    sibling = "A sibling ({proxy+}) of this resource already has a variable path part -- only one is allowed"
    assert create("{other+}") == ("BadRequestException", sibling, 400)
    api.resource("/{id}")
    assert create("{other}")[1].startswith("A sibling ({id})")
    greedy = "Cannot create a child of a resource with a greedy path variable: {proxy+}"
    assert create("x", api.ids["/{proxy+}"]) == ("BadRequestException", greedy, 400)
    assert create("x", "abcdef") == ("NotFoundException", "Invalid Resource identifier specified", 404)
    for part in ("/users", "users/", "us{er", "us+er", "{us er}", ""):
        assert create(part)[1].startswith("Resource's path part only allow"), part
    update = {"restApiId": api.id, "resourceId": api.ids["/pets"]}
    child = api.resource("/pets/x")
    wrong = refused(gateway.update_resource, **update, patchOperations=[{"op": "replace", "path": "/parentId", "value": child}])
    assert wrong == ("BadRequestException", "Resources cannot be cyclical.", 400)
    wrong = refused(gateway.update_resource, **update, patchOperations=[{"op": "replace", "path": "/no", "value": "x"}])
    assert wrong[1] == "Invalid patch path  '/no' specified for op 'replace'. Must be one of: [/parentId, /pathPart]"
    assert (
        refused(gateway.create_resource, restApiId="nosuchapi0", parentId=root, pathPart="x")[1] == "Invalid Resource identifier specified"
    )


def test_methods_and_what_hangs_on_them(api: Api):
    gateway, where = api.gateway, api.at("/a")
    put = gateway.put_method(
        **where,
        authorizationType="NONE",
        requestParameters={"method.request.querystring.q": True},
        requestModels={"application/json": "Empty"},
    )
    assert put["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert refused(gateway.put_method, **where, authorizationType="NONE") == (
        "ConflictException",
        "Method already exists for this resource",
        409,
    )
    integration = gateway.put_integration(**where, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    assert plain(integration) == {
        "type": "MOCK",
        "requestTemplates": {"application/json": '{"statusCode": 200}'},
        "passthroughBehavior": "WHEN_NO_MATCH",
        "timeoutInMillis": 29000,
        "cacheNamespace": where["resourceId"],
        "cacheKeyParameters": [],
    }
    response = gateway.put_method_response(**where, statusCode="200", responseParameters={}, responseModels={})
    assert plain(response) == {"statusCode": "200", "responseParameters": {}, "responseModels": {}}
    response = gateway.put_integration_response(**where, statusCode="200", selectionPattern="")
    assert plain(response) == {"statusCode": "200", "selectionPattern": ""}
    method = gateway.get_method(**where)
    assert method["methodIntegration"]["integrationResponses"] == {"200": {"statusCode": "200", "selectionPattern": ""}}
    assert method["methodResponses"]["200"]["statusCode"] == "200"
    changed = gateway.update_integration(
        **where,
        patchOperations=[
            {"op": "replace", "path": "/timeoutInMillis", "value": "1000"},
            {"op": "add", "path": "/requestTemplates/text~1xml", "value": "<a/>"},
        ],
    )
    assert changed["timeoutInMillis"] == 1000 and changed["requestTemplates"]["text/xml"] == "<a/>"
    changed = gateway.update_method(**where, patchOperations=[{"op": "replace", "path": "/apiKeyRequired", "value": "true"}])
    assert changed["apiKeyRequired"] is True
    changed = gateway.update_integration_response(
        **where, statusCode="200", patchOperations=[{"op": "replace", "path": "/selectionPattern", "value": "x"}]
    )
    assert changed["selectionPattern"] == "x"
    changed = gateway.update_method_response(
        **where, statusCode="200", patchOperations=[{"op": "add", "path": "/responseParameters/method.response.header.A", "value": "true"}]
    )
    assert changed["responseParameters"] == {"method.response.header.A": True}
    for delete, more, next_error in [
        (gateway.delete_integration_response, {"statusCode": "200"}, "Invalid Response status code specified"),
        (gateway.delete_integration, {}, "Invalid Integration identifier specified"),
        (gateway.delete_method_response, {"statusCode": "200"}, "Invalid Response status code specified"),
        (gateway.delete_method, {}, "Invalid Method identifier specified"),
    ]:
        assert delete(**where, **more)["ResponseMetadata"]["HTTPStatusCode"] == 204
        assert refused(delete, **where, **more) == ("NotFoundException", next_error, 404)


def test_methods_and_integrations_that_cannot_be(api: Api):
    gateway, where = api.gateway, api.at("/a", "POST")
    lost = "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires a valid authorizer."
    options = "Invalid HttpMethod specified. Valid options are GET,PUT,POST,DELETE,PATCH,OPTIONS,HEAD,ANY"
    assert refused(gateway.put_method, **(where | {"httpMethod": "FETCH"}), authorizationType="NONE")[1] == options
    assert refused(gateway.put_method, **where, authorizationType="CUSTOM")[1] == lost
    assert (
        refused(gateway.put_method, **where, authorizationType="NONE", requestModels={"a/b": "No"})[1]
        == "Invalid model identifier specified: No"
    )
    twice = {"method.request.querystring.a": True, "method.request.header.a": True}
    unique = "Parameter names must be unique across querystring, header and path"
    assert refused(gateway.put_method, **where, authorizationType="NONE", requestParameters=twice)[1] == unique
    assert refused(gateway.put_integration, **where, type="MOCK")[1] == "Invalid Method identifier specified"
    gateway.put_method(**where, authorizationType="NONE")
    for settings, message in [
        ({"type": "HTTP", "uri": "ftp://x", "integrationHttpMethod": "GET"}, "Invalid HTTP endpoint specified for URI"),
        ({"type": "AWS", "uri": "lambda", "integrationHttpMethod": "POST"}, "Invalid ARN specified in the request"),
        (
            {"type": "AWS", "uri": "arn:aws:lambda:x", "integrationHttpMethod": "POST"},
            "AWS ARN for integration must contain path or action",
        ),
        ({"type": "AWS", "uri": "arn:aws:apigateway:r:lambda:path/x"}, "Enumeration value for HttpMethod must be non-empty"),
        ({"type": "MOCK", "timeoutInMillis": 10}, "Timeout should be between 50 ms and 29000 ms"),
        (
            {"type": "MOCK", "requestParameters": {"integration.request.header.a": "true"}},
            "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression specified: true]",
        ),
    ]:
        assert refused(gateway.put_integration, **where, **settings) == ("BadRequestException", message, 400)
    assert refused(gateway.get_integration, **where)[1] == "Invalid Integration identifier specified"


def test_deployments_are_snapshots_and_stages_show_them(api: Api):
    gateway = api.gateway
    assert refused(gateway.create_deployment, restApiId=api.id)[1] == "The REST API doesn't contain any methods"
    api.method("/a")
    assert refused(gateway.create_deployment, restApiId=api.id)[1] == "No integration defined for method"
    gateway.put_integration(**api.at("/a"), type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    first = api.deploy("v1", description="one", variables={"x": "1"})
    got = gateway.get_deployment(restApiId=api.id, deploymentId=first, embed=["apisummary"])
    assert got["description"] == "one" and got["apiSummary"] == {"/a": {"GET": {"authorizationType": "NONE", "apiKeyRequired": False}}}
    stage = gateway.get_stage(restApiId=api.id, stageName="v1")
    assert stage["deploymentId"] == first and stage["variables"] == {"x": "1"} and stage["cacheClusterStatus"] == "NOT_AVAILABLE"
    second = api.deploy("v1")
    assert gateway.get_stage(restApiId=api.id, stageName="v1")["deploymentId"] == second
    in_use = "Active stages pointing to this deployment must be moved or deleted"
    assert refused(gateway.delete_deployment, restApiId=api.id, deploymentId=second)[1] == in_use
    made = gateway.create_stage(restApiId=api.id, stageName="v2", deploymentId=first, description="other", tags={"a": "b"})
    assert made["stageName"] == "v2" and made["tags"] == {"a": "b"} and made["methodSettings"] == {}
    assert refused(gateway.create_stage, restApiId=api.id, stageName="v2", deploymentId=first) == (
        "ConflictException",
        "Stage already exists",
        409,
    )
    updated = gateway.update_stage(
        restApiId=api.id,
        stageName="v2",
        patchOperations=[
            {"op": "replace", "path": "/deploymentId", "value": second},
            {"op": "replace", "path": "/variables/y", "value": "2"},
        ],
    )
    assert updated["deploymentId"] == second and updated["variables"] == {"y": "2"}
    assert [one["stageName"] for one in gateway.get_stages(restApiId=api.id, deploymentId=second)["item"]] == ["v1", "v2"]
    assert gateway.delete_deployment(restApiId=api.id, deploymentId=first)["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert [one["id"] for one in gateway.get_deployments(restApiId=api.id)["items"]] == [second]
    gateway.delete_stage(restApiId=api.id, stageName="v2")
    gone = ("NotFoundException", "Invalid stage identifier specified", 404)
    assert refused(gateway.get_stage, restApiId=api.id, stageName="v2") == gone
    assert refused(gateway.get_deployment, restApiId=api.id, deploymentId=first)[1] == "Invalid Deployment identifier specified"


def test_models_and_validators(api: Api):
    gateway = api.gateway
    assert [one["name"] for one in gateway.get_models(restApiId=api.id)["items"]] == ["Empty", "Error"]
    gateway.create_model(restApiId=api.id, name="Book", contentType="application/json", schema='{"type": "object"}')
    again = refused(gateway.create_model, restApiId=api.id, name="Book", contentType="application/json", schema="{}")
    assert again == ("ConflictException", "Model name already exists for this REST API", 409)
    empty = refused(gateway.create_model, restApiId=api.id, name="Other", contentType="application/json", schema="")
    assert empty[1] == "Model schema must have at least 1 property or array items defined"
    api.method("/", "ANY", requestModels={"application/json": "Book"})
    used = ("ConflictException", "Cannot delete model 'Book', is referenced in method request: //ANY", 409)
    assert refused(gateway.delete_model, restApiId=api.id, modelName="Book") == used
    gateway.delete_method(**api.at("/", "ANY"))
    gateway.delete_model(restApiId=api.id, modelName="Book")
    assert refused(gateway.get_model, restApiId=api.id, modelName="Book") == (
        "NotFoundException",
        "Invalid model name specified: Book",
        404,
    )
    made = gateway.create_request_validator(restApiId=api.id, name="v", validateRequestParameters=True)
    assert made["validateRequestBody"] is False and made["validateRequestParameters"] is True
    which = {"restApiId": api.id, "requestValidatorId": made["id"]}
    wrong = refused(gateway.update_request_validator, **which, patchOperations=[{"op": "replace", "path": "/name", "value": ""}])
    assert wrong[1] == "Request Validator name cannot be blank"
    gateway.delete_request_validator(**which)
    assert refused(gateway.get_request_validator, **which)[1] == "Invalid Request Validator identifier specified"


def test_gateway_responses(api: Api):
    gateway, which = api.gateway, {"restApiId": api.id, "responseType": "MISSING_AUTHENTICATION_TOKEN"}
    default = {
        "responseType": "MISSING_AUTHENTICATION_TOKEN",
        "statusCode": "403",
        "responseParameters": {},
        "responseTemplates": {"application/json": '{"message":$context.error.messageString}'},
        "defaultResponse": True,
    }
    assert plain(gateway.get_gateway_response(**which)) == default
    put = gateway.put_gateway_response(**which, statusCode="404")
    assert plain(put) == default | {"statusCode": "404", "defaultResponse": False}
    assert len(gateway.get_gateway_responses(restApiId=api.id, limit=500)["items"]) == 21
    wrong = refused(gateway.update_gateway_response, **which, patchOperations=[{"op": "add", "path": "/statusCode", "value": "404"}])
    assert wrong[1] == "Invalid patch path /statusCode"
    gateway.delete_gateway_response(**which)
    assert plain(gateway.get_gateway_response(**which)) == default
    assert refused(gateway.delete_gateway_response, **which)[1] == "Gateway response type not defined on api"


def test_tags_of_apis_stages_and_keys(api: Api, client: Callable[..., Any]):
    gateway = api.gateway
    api.mock("/")
    api.deploy("v1")
    key = gateway.create_api_key(name="tagged")
    for arn in (f"/restapis/{api.id}", f"/restapis/{api.id}/stages/v1", f"/apikeys/{key['id']}"):
        arn = f"arn:aws:apigateway:us-east-1::{arn}"
        tagged = gateway.tag_resource(resourceArn=arn, tags={"a": "1", "b": "2"})
        assert tagged["ResponseMetadata"]["HTTPStatusCode"] == 204
        gateway.untag_resource(resourceArn=arn, tagKeys=["a"])
        assert gateway.get_tags(resourceArn=arn)["tags"] == {"b": "2"}
    assert gateway.get_rest_api(restApiId=api.id)["tags"] == {"b": "2"}
    assert refused(gateway.get_tags, resourceArn="arn:aws:apigateway:us-east-1::/restapis/nosuchapi0")[0] == "NotFoundException"
    gateway.delete_api_key(apiKey=key["id"])


def test_a_clone_has_everything_under_new_ids(api: Api, make_api: Callable[..., Api]):
    api.mock("/pets/{id}", template='{"a": 1}')
    clone = make_api(cloneFrom=api.id)
    assert clone.id != api.id and clone.ids["/"] != api.ids["/"]
    items = clone.gateway.get_resources(restApiId=clone.id, embed=["methods"])["items"]
    assert [one["path"] for one in items] == ["/", "/pets", "/pets/{id}"] and items[1]["parentId"] == clone.ids["/"]
    clone.deploy()
    assert clone.call("/pets/1").json() == {"a": 1}


def test_the_account(client: Callable[..., Any], platform: RunningPlatform):
    account = client("apigateway").get_account()
    assert account["throttleSettings"] == {"burstLimit": 5000, "rateLimit": 10000.0}
    wrong = [{"op": "replace", "path": "/cloudwatchRoleArn", "value": f"arn:aws:iam::{platform.account}:role/nobody"}]
    assert refused(client("apigateway").update_account, patchOperations=wrong)[0] == "BadRequestException"


def test_who_may_what_is_decided_by_the_path(api: Api, client: Callable[..., Any], platform: RunningPlatform, name: str):
    iam = client("iam")
    iam.create_user(UserName=name)
    policy = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "apigateway:GET", '
        f'"Resource": "arn:aws:apigateway:us-east-1::/restapis/{api.id}/*"}}]}}'
    )
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    gateway = client("apigateway", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    assert gateway.get_resources(restApiId=api.id)["items"]
    code, message, status = refused(gateway.get_rest_api, restApiId=api.id)
    assert (code, status) == ("AccessDeniedException", 403)
    assert f"apigateway:GET on resource: arn:aws:apigateway:us-east-1::/restapis/{api.id} " in message
    assert "apigateway:POST" in refused(gateway.create_resource, restApiId=api.id, parentId=api.ids["/"], pathPart="x")[1]
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName=name, PolicyName="p")
    iam.delete_user(UserName=name)


def test_documentation_parts_and_versions(api: Api):
    gateway, which = api.gateway, {"restApiId": api.id}
    part = gateway.create_documentation_part(**which, location={"type": "API"}, properties='{"description": "d"}')
    assert part["location"] == {"type": "API"} and part["properties"] == '{"description": "d"}'
    assert [one["id"] for one in gateway.get_documentation_parts(**which)["items"]] == [part["id"]]
    one = which | {"documentationPartId": part["id"]}
    changed = gateway.update_documentation_part(**one, patchOperations=[{"op": "replace", "path": "/properties", "value": "{}"}])
    assert changed["properties"] == "{}"
    wrong = refused(gateway.update_documentation_part, **one, patchOperations=[{"op": "replace", "path": "/no", "value": "{}"}])
    assert wrong[1] == "Invalid patch path  '/no' specified for op 'replace'. Must be one of: [/properties]"
    gateway.delete_documentation_part(**one)
    gone = ("NotFoundException", "Invalid Documentation part identifier specified", 404)
    assert refused(gateway.get_documentation_part, **one) == refused(gateway.delete_documentation_part, **one) == gone
    made = gateway.create_documentation_version(**which, documentationVersion="v1", description="d")
    assert made["version"] == "v1" and gateway.get_documentation_versions(**which)["items"][0]["description"] == "d"
    gateway.delete_documentation_version(**which, documentationVersion="v1")
    assert refused(gateway.get_documentation_version, **which, documentationVersion="v1")[0] == "NotFoundException"


def test_what_is_sent_by_mistake(client: Callable[..., Any]):
    gateway = client("apigateway")
    for position in ("x", "\u00e4", "\U0001f600"):
        assert refused(gateway.get_rest_apis, position=position) == ("BadRequestException", "Invalid position parameter specified", 400)
    assert refused(gateway.create_api_key, stageKeys=[{"restApiId": "abcdefghij"}])[0] == "BadRequestException"
