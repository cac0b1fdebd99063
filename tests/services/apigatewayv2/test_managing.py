"""APIs, routes, integrations, stages, deployments and tags as they are made, changed and taken away."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import REGION, HttpApi, refused

FUNCTION = f"arn:aws:lambda:{REGION}:123456789012:function:f"


def test_an_api(make_api: Callable[..., HttpApi]) -> None:
    api = make_api(stage=None, Description="d", Tags={"a": "1"})
    made = api.made
    assert (made["ProtocolType"], made["RouteSelectionExpression"]) == ("HTTP", "$request.method $request.path")
    assert (made["ApiKeySelectionExpression"], made["DisableExecuteApiEndpoint"]) == ("$request.header.x-api-key", False)
    assert made["Tags"] == {"a": "1"} and len(made["ApiId"]) == 10
    changed = api.gateway.update_api(ApiId=api.id, Name="new", Version="2")
    assert (changed["Name"], changed["Version"], changed["Description"]) == ("new", "2", "d")
    assert api.id in {one["ApiId"] for one in api.gateway.get_apis(MaxResults="500")["Items"]}
    api.gateway.delete_api(ApiId=api.id)
    message = f"Invalid API identifier specified {api.platform.account}:{api.id}"
    for call in (api.gateway.get_api, api.gateway.get_routes, api.gateway.delete_api, api.gateway.get_stages):
        assert refused(call, ApiId=api.id) == ("NotFoundException", message, 404)
    assert api.call("/").status_code == 403


def test_an_api_is_of_its_region(api: HttpApi) -> None:
    elsewhere = api.platform.client("apigatewayv2", "eu-west-1")
    assert refused(elsewhere.get_api, ApiId=api.id)[0] == "NotFoundException"


def test_routes(api: HttpApi) -> None:
    integration = api.integration(FUNCTION)
    route = api.gateway.create_route(ApiId=api.id, RouteKey="GET /a/{id}", Target=f"integrations/{integration}")
    assert (route["ApiKeyRequired"], route["AuthorizationType"], len(route["RouteId"])) == (False, "NONE", 7)
    create = api.gateway.create_route
    assert refused(create, ApiId=api.id, RouteKey="GET /a/{id}") == (
        "ConflictException",
        "Route with key GET /a/{id} already exists for this API",
        409,
    )
    assert refused(create, ApiId=api.id, RouteKey="GET /a/{other}") == (
        "ConflictException",
        'The provided route key "GET /a/{other}" has a conflicting variable on the same hierarchical level as "GET /a/{id}"',
        409,
    )
    api.route("POST /a/{other}", integration)
    for key in ("GET", "GET a", "FETCH /a", "GET /{a+}/b", "GET /a{b}", "GET /{a}/{a}", "get /a"):
        assert refused(create, ApiId=api.id, RouteKey=key)[::2] == ("BadRequestException", 400), key
    assert refused(create, ApiId=api.id, RouteKey="GET /b", Target="integrations/nothere")[0] == "BadRequestException"
    changed = api.gateway.update_route(ApiId=api.id, RouteId=route["RouteId"], RouteKey="PUT /b")
    assert (changed["RouteKey"], changed["Target"]) == ("PUT /b", f"integrations/{integration}")
    assert refused(api.gateway.delete_integration, ApiId=api.id, IntegrationId=integration)[0] == "ConflictException"
    api.gateway.delete_route(ApiId=api.id, RouteId=route["RouteId"])
    assert refused(api.gateway.get_route, ApiId=api.id, RouteId=route["RouteId"]) == (
        "NotFoundException",
        f"Invalid Route identifier specified {route['RouteId']}",
        404,
    )


def test_pages(api: HttpApi) -> None:
    integration = api.integration(FUNCTION)
    made = {api.route(f"GET /{number}", integration) for number in range(5)}
    first = api.gateway.get_routes(ApiId=api.id, MaxResults="3")
    second = api.gateway.get_routes(ApiId=api.id, MaxResults="3", NextToken=first["NextToken"])
    assert len(first["Items"]) == 3 and "NextToken" not in second
    assert {one["RouteId"] for one in first["Items"] + second["Items"]} == made


def test_integrations(api: HttpApi) -> None:
    settings = {"ApiId": api.id, "IntegrationType": "AWS_PROXY", "IntegrationUri": FUNCTION}
    missing = "PayloadFormatVersion is a required parameter for integration"
    assert refused(api.gateway.create_integration, **settings) == ("BadRequestException", missing, 400)
    made = api.gateway.create_integration(**settings, PayloadFormatVersion="1.0")
    assert (made["TimeoutInMillis"], made["ConnectionType"]) == (30000, "INTERNET")
    assert made["IntegrationMethod"] == "POST"
    changed = api.gateway.update_integration(ApiId=api.id, IntegrationId=made["IntegrationId"], TimeoutInMillis=100)
    assert changed["TimeoutInMillis"] == 100
    create = api.gateway.create_integration
    bad: list[dict[str, Any]] = [
        {"IntegrationType": "MOCK"},
        {"IntegrationType": "AWS_PROXY", "IntegrationUri": "arn:aws:s3:::b"},
        {"IntegrationType": "AWS_PROXY", "IntegrationUri": FUNCTION, "PayloadFormatVersion": "3.0"},
        {"IntegrationType": "AWS_PROXY", "IntegrationUri": FUNCTION, "TimeoutInMillis": 30001},
        {"IntegrationType": "HTTP_PROXY", "IntegrationUri": "http://a.example"},
        {"IntegrationType": "HTTP_PROXY", "IntegrationUri": "ftp://a.example", "IntegrationMethod": "GET"},
    ]
    for one in bad:
        assert refused(create, ApiId=api.id, **({"PayloadFormatVersion": "1.0"} | one))[::2] == ("BadRequestException", 400), one


def test_a_stage_that_deploys_by_itself(api: HttpApi, echo: str) -> None:
    [stage] = api.gateway.get_stages(ApiId=api.id)["Items"]
    assert "DeploymentId" not in stage
    nothing = "Unable to deploy API because no routes exist in this API"
    assert stage["LastDeploymentStatusMessage"] == f"Deployment attempt failed: {nothing}"
    assert refused(api.gateway.create_deployment, ApiId=api.id) == ("BadRequestException", nothing, 400)
    assert api.call("/").json() == {"message": "Not Found"}
    api.function("GET /", echo)
    assert api.call("/").status_code == 200
    stage = api.gateway.get_stage(ApiId=api.id, StageName="$default")
    first = stage["DeploymentId"]
    assert stage["LastDeploymentStatusMessage"] == f"Successfully deployed stage with deployment ID '{first}'"
    api.function("POST /", echo)
    deployments = api.gateway.get_deployments(ApiId=api.id)["Items"]
    now = api.gateway.get_stage(ApiId=api.id, StageName="$default")["DeploymentId"]
    assert [one["DeploymentId"] for one in deployments] == [now] and now != first
    assert deployments[0]["AutoDeployed"] and deployments[0]["DeploymentStatus"] == "DEPLOYED"


def test_a_stage_that_is_deployed_by_hand(make_api: Callable[..., HttpApi], echo: str) -> None:
    api = make_api(stage=None)
    api.gateway.create_stage(ApiId=api.id, StageName="v1")
    assert refused(api.gateway.create_deployment, ApiId=api.id) == (
        "BadRequestException",
        "Unable to deploy API because no routes exist in this API",
        400,
    )
    api.function("GET /a", echo)
    assert api.call("/v1/a").status_code == 404
    first = api.gateway.create_deployment(ApiId=api.id, StageName="v1", Description="one")["DeploymentId"]
    assert api.call("/v1/a").status_code == 200
    api.function("GET /b", echo)
    assert api.call("/v1/b").status_code == 404
    second = api.gateway.create_deployment(ApiId=api.id)["DeploymentId"]
    assert api.call("/v1/b").status_code == 404
    api.gateway.update_stage(ApiId=api.id, StageName="v1", DeploymentId=second)
    assert api.call("/v1/b").status_code == 200
    assert refused(api.gateway.delete_deployment, ApiId=api.id, DeploymentId=second)[0] == "BadRequestException"
    api.gateway.delete_deployment(ApiId=api.id, DeploymentId=first)
    api.gateway.delete_stage(ApiId=api.id, StageName="v1")
    assert api.call("/v1/b").status_code == 404


def test_stages(api: HttpApi) -> None:
    create = api.gateway.create_stage
    assert refused(create, ApiId=api.id, StageName="$default") == ("ConflictException", "Stage already exists", 409)
    assert refused(create, ApiId=api.id, StageName="a b")[0] == "BadRequestException"
    assert refused(create, ApiId=api.id, StageName="x", RouteSettings={"GET /no": {"ThrottlingRateLimit": 1}}) == (
        "NotFoundException",
        "Unable to find Route by key GET /no within the provided RouteSettings",
        404,
    )
    made = create(ApiId=api.id, StageName="x", StageVariables={"a": "1", "b": "2"}, Tags={"t": "1"})
    assert made["RouteSettings"] == {} and made["DefaultRouteSettings"] == {"DetailedMetricsEnabled": False}
    changed = api.gateway.update_stage(ApiId=api.id, StageName="x", StageVariables={"a": "", "c": "3"})
    assert changed["StageVariables"] == {"b": "2", "c": "3"}
    assert refused(api.gateway.get_stage, ApiId=api.id, StageName="y")[0] == "NotFoundException"


def test_quick_create_is_changed_through_the_api(make_api: Callable[..., HttpApi]) -> None:
    api = make_api(stage=None, Target="https://a.example", RouteKey="GET /a")
    api.gateway.update_api(ApiId=api.id, Target="https://b.example", RouteKey="GET /b")
    [route], [integration] = (one(ApiId=api.id)["Items"] for one in (api.gateway.get_routes, api.gateway.get_integrations))
    assert (route["RouteKey"], integration["IntegrationUri"]) == ("GET /b", "https://b.example")
    assert (integration["IntegrationType"], integration["IntegrationMethod"]) == ("HTTP_PROXY", "ANY")
    assert refused(make_api().gateway.create_api, Name="x", ProtocolType="HTTP", RouteKey="GET /")[0] == "BadRequestException"


@pytest.mark.parametrize("stage", ["", "/stages/$default"])
def test_tags(api: HttpApi, stage: str) -> None:
    arn = f"arn:aws:apigateway:{REGION}::/apis/{api.id}{stage}"
    api.gateway.tag_resource(ResourceArn=arn, Tags={"a": "1", "b": "2"})
    api.gateway.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert api.gateway.get_tags(ResourceArn=arn)["Tags"] == {"b": "2"}
    assert refused(api.gateway.get_tags, ResourceArn=f"arn:aws:apigateway:{REGION}::/else/1")[0] == "BadRequestException"


def test_an_address_that_is_closed(api: HttpApi, echo: str) -> None:
    api.function("GET /", echo)
    assert api.call("/").status_code == 200
    api.gateway.update_api(ApiId=api.id, DisableExecuteApiEndpoint=True)
    assert (api.call("/").status_code, api.call("/").json()) == (404, {"message": "Not Found"})


def test_what_callers_must_be_allowed(api: HttpApi, name: str) -> None:
    iam = api.platform.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    mine = api.platform.client("apigatewayv2", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    assert refused(mine.get_api, ApiId=api.id)[::2] == ("AccessDeniedException", 403)
    statement = {"Effect": "Allow", "Action": "apigateway:GET", "Resource": f"arn:aws:apigateway:{REGION}::/apis/{api.id}/*"}
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert mine.get_routes(ApiId=api.id)["Items"] == []
    assert refused(mine.get_api, ApiId=api.id)[0] == "AccessDeniedException"
    assert refused(mine.create_route, ApiId=api.id, RouteKey="GET /")[0] == "AccessDeniedException"


def test_rest_apis_beside_it(api: HttpApi, echo: str) -> None:
    """The addresses are shared: an id belongs to one kind of API."""
    rest = api.platform.client("apigateway")
    made = rest.create_rest_api(name="beside")
    where = {"restApiId": made["id"], "resourceId": made["rootResourceId"], "httpMethod": "GET"}
    rest.put_method(**where, authorizationType="NONE")
    rest.put_integration(**where, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    rest.put_method_response(**where, statusCode="200")
    rest.put_integration_response(**where, statusCode="200", responseTemplates={"application/json": "rest"})
    rest.create_deployment(restApiId=made["id"], stageName="v1")
    api.function("GET /v1", echo)
    headers = {"Host": f"{made['id']}.execute-api.{REGION}.localhost:{api.platform.port}"}
    assert api.session.get(api.platform.endpoint + "/v1", headers=headers, timeout=60).text == "rest"
    assert api.by_host("/v1").json()["event"]["routeKey"] == "GET /v1"
    assert refused(rest.get_rest_api, restApiId=api.id)[0] == "NotFoundException"
    rest.delete_rest_api(restApiId=made["id"])


def test_what_is_kept_is_there_after_a_kill(fresh_platform: Callable[..., Any]) -> None:
    platform = fresh_platform()
    api = HttpApi(platform)
    integration = api.integration("http://127.0.0.1:1")
    api.route("GET /", integration)
    platform.kill()
    platform.start()
    assert [one["RouteKey"] for one in platform.client("apigatewayv2").get_routes(ApiId=api.id)["Items"]] == ["GET /"]
    assert api.call("/").status_code == 503


def test_tokens_that_are_none(client: Callable[..., Any]) -> None:
    for token in ("x", "\U0001f600"):
        assert refused(client("apigatewayv2").get_apis, NextToken=token) == ("BadRequestException", "Invalid value for nextToken", 400)


def test_models_and_responses_are_of_websocket_apis(make_api: Callable[..., HttpApi]) -> None:
    http = make_api()
    assert refused(http.gateway.create_model, ApiId=http.id, Name="m", Schema="{}")[0] == "BadRequestException"
    api = make_api(stage=None, ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action")
    made = api.gateway.create_model(ApiId=api.id, Name="m", Schema='{"type": "object"}')
    assert api.gateway.get_model(ApiId=api.id, ModelId=made["ModelId"])["Name"] == "m"
    assert refused(api.gateway.create_model, ApiId=api.id, Name="m", Schema='{"type": "object"}')[0] == "ConflictException"
    assert api.gateway.update_model(ApiId=api.id, ModelId=made["ModelId"], Description="d")["Description"] == "d"
    api.gateway.delete_model(ApiId=api.id, ModelId=made["ModelId"])
    assert api.gateway.get_models(ApiId=api.id)["Items"] == []
    integration = api.gateway.create_integration(ApiId=api.id, IntegrationType="MOCK")["IntegrationId"]
    where = {"ApiId": api.id, "IntegrationId": integration}
    response = api.gateway.create_integration_response(**where, IntegrationResponseKey="/200/")["IntegrationResponseId"]
    assert [one["IntegrationResponseId"] for one in api.gateway.get_integration_responses(**where)["Items"]] == [response]
    api.gateway.delete_integration_response(**where, IntegrationResponseId=response)
    assert refused(api.gateway.get_integration_response, **where, IntegrationResponseId=response)[0] == "NotFoundException"


def test_the_access_log_of_a_stage(api: HttpApi, echo: str, name: str) -> None:
    logs = api.platform.client("logs")
    logs.create_log_group(logGroupName=name)
    arn = f"arn:aws:logs:{REGION}:{api.platform.account}:log-group:{name}"
    form = '{"id":"$context.requestId","route":"$context.routeKey","status":$context.status,"ip":"$context.identity.sourceIp"'
    form += ',"no":"$context.authorizer.nothing","said":$context.integration.status,"lambda":$context.integrationStatus}'
    api.gateway.update_stage(ApiId=api.id, StageName="$default", AccessLogSettings={"DestinationArn": arn, "Format": form})
    api.function("GET /a", echo)
    requests = [api.call("/a").headers["Apigw-Requestid"], api.call("/b").headers["Apigw-Requestid"]]
    end = time.monotonic() + 60
    while len(found := logs.filter_log_events(logGroupName=name)["events"]) < 2 and time.monotonic() < end:
        time.sleep(0.1)
    lines = {one["id"]: one for one in (json.loads(event["message"].replace(":-", ":null")) for event in found)}
    known = {"id": requests[0], "route": "GET /a", "status": 200, "ip": "127.0.0.1", "no": "-", "said": 200, "lambda": 200}
    assert lines[requests[0]] == known
    assert lines[requests[1]]["status"] == 404
    api.gateway.delete_access_log_settings(ApiId=api.id, StageName="$default")
    assert "AccessLogSettings" not in api.gateway.get_stage(ApiId=api.id, StageName="$default")
    logs.delete_log_group(logGroupName=name)


def test_custom_domain_names(api: HttpApi, echo: str, name: str) -> None:
    domain, gateway = f"{name}.example.com", api.gateway
    configuration = {"CertificateArn": f"arn:aws:acm:{REGION}:{api.platform.account}:certificate/c", "EndpointType": "REGIONAL"}
    made = gateway.create_domain_name(DomainName=domain, DomainNameConfigurations=[configuration], Tags={"a": "1"})
    assert made["DomainNameConfigurations"][0]["CertificateArn"] == configuration["CertificateArn"]
    changes = {"OwnershipVerificationCertificateArn": configuration["CertificateArn"], "IpAddressType": "dualstack"}
    changed = gateway.update_domain_name(DomainName=domain, DomainNameConfigurations=[configuration | changes])
    assert changes.items() <= changed["DomainNameConfigurations"][0].items()
    assert gateway.get_domain_name(DomainName=domain)["Tags"] == {"a": "1"}
    assert domain in {one["DomainName"] for one in gateway.get_domain_names()["Items"]}
    api.function("GET /pets/{id}", echo)
    gateway.tag_resource(ResourceArn=made["DomainNameArn"], Tags={"b": "2"})
    assert gateway.get_tags(ResourceArn=made["DomainNameArn"])["Tags"] == {"a": "1", "b": "2"}
    mapping = gateway.create_api_mapping(DomainName=domain, ApiId=api.id, Stage="$default", ApiMappingKey="shop/v1")
    headers = {"Host": domain}

    def call(path: str) -> Any:
        return api.session.get(api.platform.endpoint + path, headers=headers, timeout=60)

    event = call("/shop/v1/pets/1").json()["event"]
    assert event["requestContext"]["domainName"] == domain and event["pathParameters"] == {"id": "1"}
    assert call("/pets/1").status_code == 403
    gateway.update_api(ApiId=api.id, DisableExecuteApiEndpoint=True)
    assert call("/shop/v1/pets/1").status_code == 200 and api.call("/pets/1").status_code == 404
    create = gateway.create_api_mapping
    assert refused(create, DomainName=domain, ApiId=api.id, Stage="$default", ApiMappingKey="shop/v1")[0] == "ConflictException"
    assert refused(create, DomainName=domain, ApiId=api.id, Stage="no", ApiMappingKey="x")[0] == "BadRequestException"
    assert refused(create, DomainName=domain, ApiId="nothere", Stage="no", ApiMappingKey="x")[0] == "NotFoundException"
    where = {"DomainName": domain, "ApiMappingId": mapping["ApiMappingId"]}
    assert gateway.update_api_mapping(**where, ApiId=api.id, ApiMappingKey="")["ApiMappingKey"] == ""
    assert call("/pets/1").status_code == 200 and call("/shop/v1/pets/1").status_code == 404
    assert [one["ApiMappingId"] for one in gateway.get_api_mappings(DomainName=domain)["Items"]] == [mapping["ApiMappingId"]]
    assert refused(gateway.delete_stage, ApiId=api.id, StageName="$default")[::2] == ("BadRequestException", 400)
    assert refused(gateway.delete_api, ApiId=api.id) == (
        "BadRequestException",
        f"Deleting API {api.id} failed. Please remove all API mappings for the API from your custom domain names.",
        400,
    )
    gateway.delete_api_mapping(**where)
    assert refused(gateway.get_api_mapping, **where)[0] == "NotFoundException"
    gateway.delete_domain_name(DomainName=domain)
    assert refused(gateway.get_domain_name, DomainName=domain)[0] == "NotFoundException"


def test_names_and_settings_that_are_none(client: Callable[..., Any], name: str, api: HttpApi) -> None:
    gateway = client("apigatewayv2")
    assert refused(gateway.create_api, Name="", ProtocolType="HTTP")[::2] == ("BadRequestException", 400)
    assert refused(gateway.create_api, Name="x" * 129, ProtocolType="HTTP")[::2] == ("BadRequestException", 400)
    for settings in ({"DestinationArn": "foo", "Format": "$context.requestId"}, {"DestinationArn": "arn:aws:logs", "Format": "a\nb"}):
        assert refused(gateway.create_stage, ApiId=api.id, StageName="s", AccessLogSettings=settings)[2] == 400
    stage = gateway.create_stage(ApiId=api.id, StageName="s", DefaultRouteSettings={"ThrottlingBurstLimit": 1})
    assert stage["DefaultRouteSettings"] == {"DetailedMetricsEnabled": False, "ThrottlingBurstLimit": 1}


def test_routes_keys_of_websocket_apis(client: Callable[..., Any], name: str) -> None:
    gateway = client("apigatewayv2")
    api = gateway.create_api(Name=name, ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action")["ApiId"]
    assert refused(gateway.create_route, ApiId=api, RouteKey="$other")[1] == "The provided route key is not formatted properly"
    assert refused(gateway.create_route, ApiId=api, RouteKey="")[1] == "Route key is required"
    made = gateway.create_route(ApiId=api, RouteKey="$connect")
    made.pop("ResponseMetadata")
    assert made == {"ApiKeyRequired": False, "AuthorizationType": "NONE", "RouteId": made["RouteId"], "RouteKey": "$connect"}
    gateway.delete_api(ApiId=api)


def test_a_mock_integration(client: Callable[..., Any], name: str) -> None:
    gateway = client("apigatewayv2")
    api = gateway.create_api(Name=name, ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action")["ApiId"]
    templates = {"application/json": '{"statusCode":200}'}
    made = gateway.create_integration(ApiId=api, IntegrationType="MOCK", RequestTemplates=templates)
    made.pop("ResponseMetadata")
    assert made == {
        "ConnectionType": "INTERNET",
        "IntegrationId": made["IntegrationId"],
        "IntegrationResponseSelectionExpression": "${integration.response.statuscode}",
        "IntegrationType": "MOCK",
        "PassthroughBehavior": "WHEN_NO_MATCH",
        "PayloadFormatVersion": "1.0",
        "RequestTemplates": templates,
        "TimeoutInMillis": 29000,
    }
    gateway.delete_api(ApiId=api)


def test_model_templates(client: Callable[..., Any], name: str) -> None:
    gateway = client("apigatewayv2")
    api = gateway.create_api(Name=name, ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action")["ApiId"]
    schema = '{"type": "object", "properties": {"text": {"type": "string"}}}'
    model = gateway.create_model(ApiId=api, Name="Said", ContentType="application/json", Schema=schema)["ModelId"]
    assert gateway.get_model_template(ApiId=api, ModelId=model)["Value"].startswith("#set($inputRoot = $input.path('$'))")
    assert refused(gateway.create_model, ApiId=api, Name="not-good", Schema=schema)[1] == "Model name must be alphanumeric: not-good"
    gateway.delete_api(ApiId=api)


def test_vpc_links(client: Callable[..., Any], name: str) -> None:
    gateway = client("apigatewayv2")
    made = gateway.create_vpc_link(Name=name, SubnetIds=["subnet-1", "subnet-2"], SecurityGroupIds=["sg-1"], Tags={"a": "b"})
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (made["VpcLinkStatus"], made["VpcLinkStatusMessage"]) == ("PENDING", "VPC link is provisioning ENIs")
    link = made["VpcLinkId"]
    found = gateway.get_vpc_link(VpcLinkId=link)
    assert (found["VpcLinkStatus"], found["VpcLinkVersion"], found["Tags"]) == ("AVAILABLE", "V2", {"a": "b"})
    assert gateway.update_vpc_link(VpcLinkId=link, Name="other")["Name"] == "other"
    assert link in [one["VpcLinkId"] for one in gateway.get_vpc_links()["Items"]]
    arn = f"arn:aws:apigateway:us-east-1::/vpclinks/{link}"
    gateway.tag_resource(ResourceArn=arn, Tags={"c": "d"})
    assert gateway.get_tags(ResourceArn=arn)["Tags"] == {"a": "b", "c": "d"}
    assert gateway.delete_vpc_link(VpcLinkId=link)["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert refused(gateway.get_vpc_link, VpcLinkId=link)[0] == "NotFoundException"
    assert refused(gateway.create_vpc_link, Name=name, SubnetIds=[])[2] == 400


def test_a_stage_is_made_before_it_deploys_by_itself(make_api: Callable[..., HttpApi], echo: str) -> None:
    api = make_api(stage=None)
    api.function("GET /", echo)
    made = api.gateway.create_stage(ApiId=api.id, StageName="v1", AutoDeploy=True)
    assert made["AutoDeploy"] and not {"DeploymentId", "LastDeploymentStatusMessage"} & set(made)
    by_hand = api.gateway.create_stage(ApiId=api.id, StageName="v2")
    assert "DeploymentId" not in by_hand
    assert "DeploymentId" not in api.gateway.update_stage(ApiId=api.id, StageName="v2", AutoDeploy=True)
    for name in ("v1", "v2"):
        assert "Successfully deployed" in api.gateway.get_stage(ApiId=api.id, StageName=name)["LastDeploymentStatusMessage"]
        assert api.call(f"/{name}/").status_code == 200


def test_an_empty_text_takes_a_value_away(api: HttpApi) -> None:
    gateway, id = api.gateway, api.id
    gateway.update_api(ApiId=id, Description="d", Version="1")
    assert not {"Description", "Version"} & set(gateway.update_api(ApiId=id, Description="", Version=""))
    gateway.update_stage(ApiId=id, StageName="$default", Description="d")
    assert "Description" not in gateway.update_stage(ApiId=id, StageName="$default", Description="")
    integration = api.integration(FUNCTION, Description="d", CredentialsArn=f"arn:aws:iam::{api.platform.account}:role/r")
    changed = gateway.update_integration(ApiId=id, IntegrationId=integration, Description="", CredentialsArn="")
    assert not {"Description", "CredentialsArn"} & set(changed)
    route = api.route("GET /", integration, OperationName="o")
    changed = gateway.update_route(ApiId=id, RouteId=route, OperationName="", Target="")
    assert not {"OperationName", "Target"} & set(changed)
    assert refused(gateway.update_api, ApiId=id, Name="")[0] == "BadRequestException"


def test_parameters_that_a_handshake_needs_are_added(make_api: Callable[..., HttpApi]) -> None:
    api = make_api(stage=None, ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action")
    first, second = "route.request.querystring.a", "route.request.header.b"
    route = api.gateway.create_route(ApiId=api.id, RouteKey="$connect", RequestParameters={first: {"Required": True}})["RouteId"]
    changed = api.gateway.update_route(ApiId=api.id, RouteId=route, RequestParameters={second: {"Required": True}})
    assert changed["RequestParameters"] == {first: {"Required": True}, second: {"Required": True}}


def test_what_an_access_log_cannot_tell(api: HttpApi) -> None:
    arn = f"arn:aws:logs:{REGION}:{api.platform.account}:log-group:any"

    def update(form: str) -> Any:
        settings = {"DestinationArn": arn, "Format": form}
        return api.gateway.update_stage(ApiId=api.id, StageName="$default", AccessLogSettings=settings)

    update("$context.requestId ${context.authorizer.claims.sub} $context.integration.error")
    assert refused(update, "$context.requestId $context.identity.cognitoIdentityId $context.nope $context.nope") == (
        "BadRequestException",
        "The following context variables are not supported: [$context.identity.cognitoIdentityId, $context.nope]",
        400,
    )


def test_why_an_integration_failed_is_in_the_access_log(api: HttpApi, make_function: Callable[..., str], name: str) -> None:
    logs = api.platform.client("logs")
    logs.create_log_group(logGroupName=name)
    arn = f"arn:aws:logs:{REGION}:{api.platform.account}:log-group:{name}"
    settings = {"DestinationArn": arn, "Format": "$context.requestId $context.integrationStatus $context.integrationErrorMessage"}
    api.gateway.update_stage(ApiId=api.id, StageName="$default", AccessLogSettings=settings)
    code = "def handler(event, context):\n    assert event['rawPath'] != '/raises', 'why'\n    return {'statusCode': 200, 'body': 1}\n"
    function = make_function(code)
    api.function("GET /raises", function)
    api.function("GET /odd", function)
    api.function("GET /refused", make_function(code, allow=None))
    ids = [api.call(path).headers["Apigw-Requestid"] for path in ("/raises", "/odd", "/refused")]
    end = time.monotonic() + 60
    while len(found := logs.filter_log_events(logGroupName=name)["events"]) < 3 and time.monotonic() < end:
        time.sleep(0.1)
    lines = dict(event["message"].split(" ", 1) for event in found)
    assert [lines[one] for one in ids] == [
        "200 The Lambda function returned the following error: why. Check your Lambda function code and try again.",
        "200 The response from the Lambda function doesn't match the format that API Gateway expects. "
        'Lambda body contains the wrong type for field "body"',
        "403 The IAM role configured on the integration or API Gateway doesn't have permissions to call the integration. "
        "Check the permissions and try again.",
    ]
    logs.delete_log_group(logGroupName=name)


def test_the_bounds_of_a_timeout(api: HttpApi) -> None:
    integration = api.integration(FUNCTION)
    assert refused(api.gateway.update_integration, ApiId=api.id, IntegrationId=integration, TimeoutInMillis=30_001) == (
        "BadRequestException",
        "Timeout should be between 50 ms and 30000 ms",
        400,
    )
