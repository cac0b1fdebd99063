"""WebSocket APIs whose integrations map: templates, parameters, responses; what is checked before: keys, models, speeds; the logs."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from .conftest import REGION, refused
from .sockets import Client, Refused
from .test_websocket import SocketApi, function, make_sockets

__all__ = ["function", "make_sockets"]
WAIT_SECONDS = 60.0

Sockets = Callable[..., SocketApi]


def integrate(api: SocketApi, key: str, integration: dict[str, Any], *responses: dict[str, Any], **route: Any) -> str:
    """A route that answers, with an integration and its responses; the route's id."""
    made = api.gateway.create_integration(ApiId=api.id, **integration)["IntegrationId"]
    for response in responses:
        api.gateway.create_integration_response(ApiId=api.id, IntegrationId=made, **response)
    target = {"Target": f"integrations/{made}", "RouteResponseSelectionExpression": "$default"}
    route_id: str = api.gateway.create_route(ApiId=api.id, RouteKey=key, **(target | route))["RouteId"]
    api.gateway.create_route_response(ApiId=api.id, RouteId=route_id, RouteResponseKey="$default")
    return route_id


class Server(ThreadingHTTPServer):
    """Keeps what it was asked, and answers with a status of the path and a fixed body."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answering(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.command, self.path, headers, body))
        answer = b'{"word":"done"}'
        self.send_response(int(self.path.partition("?")[0].rpartition("/")[2] or 200))
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def test_a_mock_integration_maps(make_sockets: Sockets) -> None:
    api = make_sockets()
    integration = {
        "IntegrationType": "MOCK",
        "TemplateSelectionExpression": "${request.body.kind}",
        "RequestTemplates": {"$default": '{"statusCode": 200}', "bad": '{"statusCode": 404}', "none": "nothing"},
    }
    good = '{"to": "$context.connectionId", "text": "$stageVariables.greeting", "route": "$context.routeKey"}'
    integrate(
        api,
        "say",
        integration,
        {"IntegrationResponseKey": "/200/", "ResponseTemplates": {"$default": good}},
        {"IntegrationResponseKey": "/4\\d\\d/", "ResponseTemplates": {"$default": "not found"}},
    )
    api.gateway.create_stage(ApiId=api.id, StageName="v1", StageVariables={"greeting": "hello"})
    api.gateway.create_deployment(ApiId=api.id, StageName="v1")
    client = api.connect()
    client.send({"action": "say"})
    answer = client.json()
    assert answer["text"] == "hello" and answer["route"] == "say" and answer["to"]
    client.send({"action": "say", "kind": "bad"})
    assert client.next() == "not found"
    client.send({"action": "say", "kind": "none"})
    assert client.json() | {"requestId": ""} == {"message": "Internal server error", "connectionId": answer["to"], "requestId": ""}


def test_an_http_integration_maps(make_sockets: Sockets, server: Server) -> None:
    api = make_sockets()
    integration = {
        "IntegrationType": "HTTP",
        "IntegrationMethod": "POST",
        "IntegrationUri": server.url + "/{room}/200",
        "RequestTemplates": {"$default": '{"said": $input.json("$.text"), "all": "$util.escapeJavaScript($input.body)"}'},
        "RequestParameters": {
            "integration.request.header.connection-id": "context.connectionId",
            "integration.request.querystring.fixed": "'a b'",
            "integration.request.path.room": "route.request.body.room",
        },
    }
    integrate(api, "say", integration, {"IntegrationResponseKey": "$default", "ResponseTemplates": {"$default": "$input.path('$.word')"}})
    proxy = {"IntegrationType": "HTTP_PROXY", "IntegrationMethod": "POST", "IntegrationUri": server.url + "/202"}
    integrate(api, "raw", proxy)
    api.deploy()
    client = api.connect()
    client.send({"action": "say", "text": 'he said "x"', "room": "blue"})
    assert client.next() == "done"
    method, path, headers, body = server.asked[0]
    assert (method, path) == ("POST", "/blue/200?fixed=a+b") and headers["connection-id"]
    assert json.loads(body)["said"] == 'he said "x"' and headers["content-type"] == "application/json"
    client.send({"action": "raw"})
    assert client.json() == {"word": "done"} and server.asked[1][3] == b'{"action": "raw"}'


DOUBLE = "def handler(event, context): return {'twice': event['n'] * 2}\n"


def test_a_function_behind_templates(make_sockets: Sockets, make_function: Callable[..., str]) -> None:
    api = make_sockets()
    uri = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{make_function(DOUBLE)}/invocations"
    integration = {"IntegrationType": "AWS", "IntegrationUri": uri, "RequestTemplates": {"$default": '{"n": $input.path("$.number")}'}}
    made = {"IntegrationResponseKey": "$default", "ResponseTemplates": {"$default": 'twice is $input.path("$.twice")'}}
    failed = {"IntegrationResponseKey": "/.*unsupported.*/", "ResponseTemplates": {"$default": "no number"}}
    integrate(api, "double", integration, made, failed)
    [kept] = api.gateway.get_integrations(ApiId=api.id)["Items"]
    assert kept["IntegrationResponseSelectionExpression"] == "${integration.response.body.errorMessage}"
    api.deploy()
    client = api.connect()
    client.send({"action": "double", "number": 21})
    assert client.next() == "twice is 42"
    client.send({"action": "double", "number": {}})
    assert client.next() == "no number"


def test_services_behind_templates(make_sockets: Sockets, name: str) -> None:
    """A service that is here is called as the integration's role; one that is not is named."""
    api = make_sockets()
    iam, tables = api.platform.client("iam"), api.platform.client("dynamodb")
    types = [{"AttributeName": "id", "AttributeType": "S"}]
    key = [{"AttributeName": "id", "KeyType": "HASH"}]
    tables.create_table(TableName=name, KeySchema=key, AttributeDefinitions=types, BillingMode="PAY_PER_REQUEST")
    trust = {"Effect": "Allow", "Principal": {"Service": "apigateway.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
    may = {"Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": "*"}
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [may]}))
    common = {"IntegrationType": "AWS", "CredentialsArn": role["Role"]["Arn"]}
    item = '{"TableName": "NAME", "Item": {"id": {"S": "$context.connectionId"}, "said": {"S": $input.json("$.text")}}}'
    item = item.replace("NAME", name)
    put = {"IntegrationUri": f"arn:aws:apigateway:{REGION}:dynamodb:action/PutItem", "RequestTemplates": {"$default": item}}
    kept = {"IntegrationResponseKey": "/200/", "ResponseTemplates": {"$default": "kept"}}
    integrate(api, "keep", common | put, kept)
    integrate(api, "queue", common | {"IntegrationUri": f"arn:aws:apigateway:{REGION}:sqs:action/SendMessage"})
    api.deploy()
    client = api.connect()
    client.send({"action": "keep", "text": "hello"})
    assert client.next() == "kept"
    [found] = tables.scan(TableName=name)["Items"]
    assert found["said"] == {"S": "hello"}
    client.send({"action": "queue"})
    assert client.json()["message"] == "haar does not have sqs SendMessage"
    iam.delete_role_policy(RoleName=name, PolicyName="p")
    iam.delete_role(RoleName=name)
    tables.delete_table(TableName=name)


def test_what_passes_through(make_sockets: Sockets, server: Server) -> None:
    api = make_sockets()
    for key, behavior in (("never", "NEVER"), ("untemplated", "WHEN_NO_TEMPLATES"), ("always", "WHEN_NO_MATCH")):
        integration = {
            "IntegrationType": "HTTP",
            "IntegrationMethod": "POST",
            "IntegrationUri": server.url + "/200",
            "PassthroughBehavior": behavior,
            "TemplateSelectionExpression": "x",
            "RequestTemplates": {"other": "{}"},
        }
        integrate(api, key, integration)
    api.deploy()
    client = api.connect()
    for key in ("never", "untemplated"):
        client.send({"action": key})
        assert client.json()["message"] == "Unsupported Media Type"
    client.send({"action": "always"})
    assert client.json() == {"word": "done"} and json.loads(server.asked[0][3]) == {"action": "always"}


def test_messages_are_what_their_model_says(make_sockets: Sockets) -> None:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    api = make_sockets()
    api.gateway.create_model(ApiId=api.id, Name="Said", ContentType="application/json", Schema=json.dumps(schema))
    answer = {"IntegrationResponseKey": "$default", "ResponseTemplates": {"$default": "taken"}}
    integrate(
        api,
        "say",
        {"IntegrationType": "MOCK"},
        answer,
        RequestModels={"strict": "Said"},
        ModelSelectionExpression="$request.body.kind",
    )
    api.deploy()
    client = api.connect()
    for message, said in (({"text": "x"}, "taken"), ({"text": "x", "kind": "strict"}, "taken"), ({"kind": "other"}, "taken")):
        client.send({"action": "say"} | message)
        assert client.next() == said
    client.send({"action": "say", "kind": "strict"})
    refused = client.json()
    assert refused["message"] == "Invalid request body" and refused["connectionId"] and refused["requestId"]


def test_what_a_handshake_must_have(make_sockets: Sockets) -> None:
    api = make_sockets()
    required = {"route.request.querystring.room": {"Required": True}, "route.request.header.X-Who": {"Required": True}}
    api.route("$connect", None, RequestParameters=required)
    api.deploy()
    with pytest.raises(Refused) as error:
        api.connect("?room=1")
    assert error.value.status == 400
    assert json.loads(error.value.body)["message"] == "Missing required request parameters: [X-Who]"
    api.connect("?room=1", headers={"X-Who": "me"})


def test_mappings_that_are_none(make_sockets: Sockets) -> None:
    api = make_sockets()
    given = {"ApiId": api.id, "IntegrationType": "HTTP", "IntegrationMethod": "GET", "IntegrationUri": "https://example.com"}
    for parameters, wrong in (
        ({"foo": "'x'"}, "foo"),
        ({"integration.request.header.a": "bar"}, "bar"),
    ):
        assert refused(api.gateway.create_integration, RequestParameters=parameters, **given)[1] == (
            "Invalid mapping expression specified: Validation Result: warnings : [], errors : "
            f"[Invalid mapping expression parameter specified: {wrong}]"
        )


def test_keys_of_usage_plans(make_sockets: Sockets, name: str) -> None:
    api = make_sockets()
    api.route("$connect", None, ApiKeyRequired=True)
    answer = {"IntegrationResponseKey": "$default", "ResponseTemplates": {"$default": "taken"}}
    integrate(api, "say", {"IntegrationType": "MOCK"}, answer, ApiKeyRequired=True)
    api.deploy()
    rest = api.platform.client("apigateway")
    key = rest.create_api_key(name=name, enabled=True)
    quota = {"limit": 2, "period": "DAY"}
    plan = rest.create_usage_plan(name=name, apiStages=[{"apiId": api.id, "stage": "v1"}], quota=quota)["id"]
    rest.create_usage_plan_key(usagePlanId=plan, keyId=key["id"], keyType="API_KEY")
    with pytest.raises(Refused) as error:
        api.connect(headers={"x-api-key": "x" * 20})
    assert error.value.status == 403 and json.loads(error.value.body)["message"] == "Forbidden"
    client = api.connect(headers={"x-api-key": key["value"]})
    client.send({"action": "say"})
    assert client.next() == "taken"
    client.send({"action": "say"})
    assert client.json()["message"] == "Limit Exceeded"
    rest.update_usage_plan(usagePlanId=plan, patchOperations=[{"op": "remove", "path": "/apiStages", "value": f"{api.id}:v1"}])
    rest.delete_usage_plan(usagePlanId=plan)
    rest.delete_api_key(apiKey=key["id"])


def test_routes_have_their_speed(make_sockets: Sockets) -> None:
    api = make_sockets()
    answer = {"IntegrationResponseKey": "$default", "ResponseTemplates": {"$default": "taken"}}
    integrate(api, "slow", {"IntegrationType": "MOCK"}, answer)
    integrate(api, "fast", {"IntegrationType": "MOCK"}, answer)
    api.deploy()
    limits = {"ThrottlingRateLimit": 0.01, "ThrottlingBurstLimit": 1}
    api.gateway.update_stage(ApiId=api.id, StageName="v1", RouteSettings={"slow": limits})
    client = api.connect()
    client.send({"action": "slow"})
    assert client.next() == "taken"
    client.send({"action": "slow"})
    assert client.json()["message"] == "Too Many Requests"
    for _ in range(3):
        client.send({"action": "fast"})
        assert client.next() == "taken"


def lines(logs: Any, group: str, last: str) -> list[str]:
    """The messages of a group once one has `last` in it."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            found = [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]
        except logs.exceptions.ResourceNotFoundException:
            found = []
        if any(last in line for line in found) or time.monotonic() > end:
            return found
        time.sleep(0.1)


def test_logs(make_sockets: Sockets, name: str) -> None:
    api = make_sockets()
    platform = api.platform
    iam, rest, logs = platform.client("iam"), platform.client("apigateway"), platform.client("logs")
    trust = {"Effect": "Allow", "Principal": {"Service": "apigateway.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
    policy = "arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
    iam.attach_role_policy(RoleName=name, PolicyArn=policy)
    rest.update_account(patchOperations=[{"op": "remove", "path": "/cloudwatchRoleArn"}])
    leveled = {"ApiId": api.id, "StageName": "v0", "DefaultRouteSettings": {"LoggingLevel": "INFO"}}
    assert refused(api.gateway.create_stage, **leveled)[1] == "CloudWatch Logs role ARN must be set in account settings to enable logging"
    rest.update_account(patchOperations=[{"op": "replace", "path": "/cloudwatchRoleArn", "value": role["Role"]["Arn"]}])
    logs.create_log_group(logGroupName=name)
    answer = {"IntegrationResponseKey": "$default", "ResponseTemplates": {"$default": "taken"}}
    integrate(api, "say", {"IntegrationType": "MOCK"}, answer)
    api.route("$connect", None)
    form = "$context.eventType $context.routeKey $context.status $context.connectionId"
    api.gateway.create_stage(
        ApiId=api.id,
        StageName="v1",
        AccessLogSettings={"DestinationArn": f"arn:aws:logs:{REGION}:{platform.account}:log-group:{name}", "Format": form},
        DefaultRouteSettings={"LoggingLevel": "INFO", "DataTraceEnabled": True},
    )
    api.gateway.create_deployment(ApiId=api.id, StageName="v1")
    client: Client = api.connect()
    client.send({"action": "say"})
    assert client.next() == "taken"
    access = lines(logs, name, "MESSAGE say 200")
    assert any(line.startswith("CONNECT $connect 200") for line in access) and any(line.startswith("MESSAGE say 200") for line in access)
    execution = lines(logs, f"/aws/apigateway/{api.id}/v1", "to API")
    assert any("WebSocket Request Route: [$connect]" in line for line in execution)
    assert any("Successfully completed execution" in line for line in execution)
    rest.update_account(patchOperations=[{"op": "remove", "path": "/cloudwatchRoleArn"}])
    for group in (name, f"/aws/apigateway/{api.id}/v1"):
        logs.delete_log_group(logGroupName=group)
    iam.detach_role_policy(RoleName=name, PolicyArn=policy)
    iam.delete_role(RoleName=name)
