"""WebSocket APIs with a real client: handshakes, routes, answers, `@connections`, limits, ends."""

import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.support.platform import RunningPlatform

from haar.services.apigatewayv2.websocket.selection import select

from .conftest import REGION, refused
from .sockets import Client, Refused

ECHO = """
import json
def handler(event, context):
    query = event.get("queryStringParameters") or {}
    if "refuse" in query: return {"statusCode": int(query["refuse"]), "body": "no"}
    if "crash" in query: raise ValueError("x")
    if event["requestContext"]["routeKey"] == "crash": raise ValueError("x")
    answer = {"statusCode": 200, "body": json.dumps(event)}
    if "protocol" in query: answer["headers"] = {"Sec-WebSocket-Protocol": query["protocol"]}
    return answer
"""
END_SECONDS = 60.0


class SocketApi:
    """One WebSocket API of a test, deployed to the stage `v1`."""

    def __init__(self, platform: RunningPlatform, **settings: Any) -> None:
        self.platform = platform
        self.gateway = platform.client("apigatewayv2")
        given = {"Name": "ws-" + uuid.uuid4().hex[:8], "ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.action"}
        self.made = self.gateway.create_api(**(given | settings))
        self.id: str = self.made["ApiId"]

    def route(self, key: str, function: str | None, answers: bool = False, **more: Any) -> None:
        uri = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function}/invocations"
        given: dict[str, Any] = {"IntegrationType": "AWS_PROXY", "IntegrationUri": uri} if function else {"IntegrationType": "MOCK"}
        integration = self.gateway.create_integration(ApiId=self.id, **given)["IntegrationId"]
        if answers:
            more["RouteResponseSelectionExpression"] = "$default"
        route = self.gateway.create_route(ApiId=self.id, RouteKey=key, Target=f"integrations/{integration}", **more)["RouteId"]
        if answers:
            self.gateway.create_route_response(ApiId=self.id, RouteId=route, RouteResponseKey="$default")

    def deploy(self) -> None:
        self.gateway.create_stage(ApiId=self.id, StageName="v1")
        self.gateway.create_deployment(ApiId=self.id, StageName="v1")

    def connect(self, query: str = "", **more: Any) -> Client:
        base = self.platform.endpoint.replace("http:", "ws:")
        return Client(f"{base}/_aws/execute-api/{self.id}/v1{query}", **more)

    def connections(self, **keys: str) -> Any:
        """The client of `@connections`."""
        import boto3

        described = self.platform.described
        given = keys or {"aws_access_key_id": described["access_key_id"], "aws_secret_access_key": described["secret_access_key"]}
        url = f"{self.platform.endpoint}/_aws/execute-api/{self.id}/v1"
        return boto3.client("apigatewaymanagementapi", endpoint_url=url, region_name=REGION, **given)


@pytest.fixture
def make_sockets(platform: RunningPlatform) -> Iterator[Callable[..., SocketApi]]:
    made: list[SocketApi] = []

    def make(**settings: Any) -> SocketApi:
        made.append(SocketApi(platform, **settings))
        return made[-1]

    yield make
    for api in made:
        api.gateway.delete_api(ApiId=api.id)


@pytest.fixture(scope="module")
def function(make_function: Callable[..., str]) -> str:
    return make_function(ECHO)


@pytest.fixture
def api(make_sockets: Callable[..., SocketApi], function: str) -> SocketApi:
    made = make_sockets()
    made.route("$connect", function)
    made.route("$default", function, answers=True)
    made.route("join", function, answers=True)
    made.route("quiet", function)
    made.route("crash", function)
    made.deploy()
    return made


def test_messages_take_their_routes(api: SocketApi) -> None:
    assert api.made["ApiEndpoint"].startswith("ws://")
    client = api.connect()
    client.send({"action": "join", "room": 1})
    event = client.json()
    context = event["requestContext"]
    assert (context["routeKey"], context["eventType"], context["stage"], context["apiId"]) == ("join", "MESSAGE", "v1", api.id)
    assert json.loads(event["body"]) == {"action": "join", "room": 1} and event["isBase64Encoded"] is False
    assert context["connectionId"] and context["messageId"] and context["messageDirection"] == "IN"
    assert context["identity"]["sourceIp"] == "127.0.0.1"
    for message in ({"action": "other"}, "no JSON", {"no": "action"}, [1]):
        client.send(message)
        assert client.json()["requestContext"]["routeKey"] == "$default"
    client.send({"action": "quiet"})
    client.send({"action": "join"})
    assert client.json()["requestContext"]["routeKey"] == "join"
    client.send({"action": "crash"})
    told = client.next()
    request = json.loads(told)["requestId"]
    assert told == f'{{"message": "Internal server error", "connectionId":"{context["connectionId"]}", "requestId":"{request}"}}'
    client.ping()
    assert client.next().payload == b"p"
    client.close(1000, "bye")
    assert client.next()[0] == 1000


def test_by_host(api: SocketApi) -> None:
    base = api.platform.endpoint.replace("http:", "ws:")
    client = Client(f"{base}/v1", host=f"{api.id}.execute-api.{REGION}.localhost:{api.platform.port}")
    client.send("x")
    assert client.json()["requestContext"]["domainName"].startswith(f"{api.id}.execute-api.")


def test_the_handshake(api: SocketApi) -> None:
    for query, status in (("?refuse=403", 403), ("?refuse=401", 401), ("?crash=1", 502)):
        with pytest.raises(Refused) as error:
            api.connect(query)
        assert error.value.status == status
    client = api.connect("?protocol=chat", protocols=("chat", "other"))
    assert client.protocol == "chat"
    base = api.platform.endpoint.replace("http:", "ws:")
    with pytest.raises(Refused) as error:
        Client(f"{base}/_aws/execute-api/{api.id}/nothere")
    assert error.value.status == 403


def test_without_a_route(make_sockets: Callable[..., SocketApi], function: str) -> None:
    api = make_sockets()
    api.route("join", function, answers=True)
    api.deploy()
    client = api.connect()
    client.send({"action": "other"})
    answer = client.json()
    assert answer["message"] == "Forbidden" and answer["connectionId"] and answer["requestId"]


def connection_of(client: Client) -> str:
    client.send({"action": "join"})
    return str(client.json()["requestContext"]["connectionId"])


def test_connections(api: SocketApi) -> None:
    client, manager = api.connect(headers={"User-Agent": "tester"}), api.connections()
    connection = connection_of(client)
    manager.post_to_connection(ConnectionId=connection, Data=b"hello")
    assert client.next() == "hello"
    manager.post_to_connection(ConnectionId=connection, Data=b"\xff\x00")
    assert client.next() == b"\xff\x00"
    found = manager.get_connection(ConnectionId=connection)
    assert found["Identity"] == {"SourceIp": "127.0.0.1", "UserAgent": "tester"}
    assert found["LastActiveAt"] >= found["ConnectedAt"]
    big = refused(manager.post_to_connection, ConnectionId=connection, Data=b"x" * (128 * 1024 + 1))
    assert big[::2] == ("PayloadTooLargeException", 413)
    manager.delete_connection(ConnectionId=connection)
    assert client.next()[0] == 1000
    for call, more in ((manager.post_to_connection, {"Data": b"x"}), (manager.get_connection, {}), (manager.delete_connection, {})):
        assert refused(call, ConnectionId=connection, **more)[::2] == ("GoneException", 410)
        assert refused(call, ConnectionId="nothing", **more) == ("BadRequestException", "Invalid connectionId: nothing", 400)


def test_connections_by_an_encoded_path(api: SocketApi) -> None:
    """Some clients encode the @, as they sign it."""
    client = api.connect()
    path = f"/_aws/execute-api/{api.id}/v1/%40connections/{quote(connection_of(client), safe='')}"
    request = AWSRequest("POST", api.platform.endpoint + path, data=b"hello")
    described = api.platform.described
    SigV4Auth(Credentials(described["access_key_id"], described["secret_access_key"]), "execute-api", REGION).add_auth(request)
    answer = requests.post(api.platform.endpoint + path, data=b"hello", headers=dict(request.headers), timeout=60)
    assert (answer.status_code, client.next()) == (200, "hello")


FROM_INSIDE = """
import boto3
def handler(event, context):
    connection = event["requestContext"]["connectionId"]
    boto3.client("apigatewaymanagementapi").post_to_connection(ConnectionId=connection, Data=b"from inside")
    return {"statusCode": 200}
"""


BY_DOMAIN = """
import boto3
def handler(event, context):
    here = event["requestContext"]
    url = f"https://{here['domainName']}/{here['stage']}"
    manager = boto3.client("apigatewaymanagementapi", endpoint_url=url)
    manager.post_to_connection(ConnectionId=here["connectionId"], Data=b"by domain")
    return {"statusCode": 200}
"""


def test_functions_send_by_the_name_that_events_tell(make_sockets: Callable[..., SocketApi], make_function: Callable[..., str]) -> None:
    """As AWS's tutorials do, however the client came in."""
    api = make_sockets()
    function = make_function(BY_DOMAIN)
    iam, functions = api.platform.client("iam"), api.platform.client("lambda")
    role = functions.get_function(FunctionName=function)["Configuration"]["Role"].rpartition("/")[2]
    statement = {"Effect": "Allow", "Action": "execute-api:ManageConnections", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName=role, PolicyName="manage", PolicyDocument=document)
    api.route("$default", function)
    api.deploy()
    base = api.platform.endpoint.replace("http:", "ws:")
    by_path = api.connect()
    by_host = Client(f"{base}/v1", host=f"{api.id}.execute-api.{REGION}.localhost:{api.platform.port}")
    for client in (by_path, by_host):
        client.send("x")
        assert client.next() == "by domain"
    iam.delete_role_policy(RoleName=role, PolicyName="manage")


def test_functions_send_to_connections(make_sockets: Callable[..., SocketApi], make_function: Callable[..., str]) -> None:
    """Where AWS_ENDPOINT_URL leads, the id of the connection is enough."""
    api = make_sockets()
    function = make_function(FROM_INSIDE)
    iam, functions = api.platform.client("iam"), api.platform.client("lambda")
    role = functions.get_function(FunctionName=function)["Configuration"]["Role"].rpartition("/")[2]
    api.route("$default", function)
    api.deploy()
    client = api.connect()
    client.send("x")
    assert client.json()["message"] == "Internal server error"
    resource = f"arn:aws:execute-api:{REGION}:{api.platform.account}:{api.id}/v1/POST/@connections/*"
    statement = {"Effect": "Allow", "Action": "execute-api:ManageConnections", "Resource": resource}
    iam.put_role_policy(RoleName=role, PolicyName="c", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    client.send("x")
    assert client.next() == "from inside"
    iam.delete_role_policy(RoleName=role, PolicyName="c")


def test_who_may_manage_connections(api: SocketApi, name: str) -> None:
    iam = api.platform.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    mine = api.connections(aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    client = api.connect()
    connection = connection_of(client)
    assert refused(mine.post_to_connection, ConnectionId=connection, Data=b"x")[::2] == ("ForbiddenException", 403)
    resource = f"arn:aws:execute-api:{REGION}:{api.platform.account}:{api.id}/v1/POST/@connections/*"
    statement = {"Effect": "Allow", "Action": "execute-api:ManageConnections", "Resource": resource}
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    mine.post_to_connection(ConnectionId=connection, Data=b"x")
    assert client.next() == "x"
    assert refused(mine.get_connection, ConnectionId=connection)[0] == "ForbiddenException"


def test_messages_that_are_too_big(api: SocketApi) -> None:
    client = api.connect()
    client.send({"action": "join", "text": "x" * 100_000})
    assert json.loads(client.json()["body"])["text"] == "x" * 100_000
    client.send("x" * (128 * 1024 + 1))
    assert client.next()[0] == 1009
    client = api.connect()
    client.send("x" * (32 * 1024 + 1), frame=64 * 1024)
    assert client.next()[0] == 1009


DISCONNECT = """
import json, os, urllib.request, boto3
def handler(event, context):
    end = event["requestContext"]
    code, why = {"N": str(end["disconnectStatusCode"])}, {"S": end["disconnectReason"]}
    assert [name for name in event["headers"] if name != "Host"] == ["x-api-key", "X-Forwarded-For", "x-restapi"]
    item = {"id": {"S": end["connectionId"]}, "code": code, "why": why}
    boto3.client("dynamodb").put_item(TableName=os.environ["TABLE"], Item=item)
    return {"statusCode": 200}
"""


def test_the_end_of_a_connection(
    make_sockets: Callable[..., SocketApi], function: str, make_function: Callable[..., str], name: str
) -> None:
    api = make_sockets()
    platform = api.platform
    tables, iam, functions = (platform.client(one) for one in ("dynamodb", "iam", "lambda"))
    key = [{"AttributeName": "id", "KeyType": "HASH"}]
    types = [{"AttributeName": "id", "AttributeType": "S"}]
    tables.create_table(TableName=name, KeySchema=key, AttributeDefinitions=types, BillingMode="PAY_PER_REQUEST")
    ending = make_function(DISCONNECT, Environment={"Variables": {"TABLE": name}})
    role = functions.get_function(FunctionName=ending)["Configuration"]["Role"].rpartition("/")[2]
    statement = {"Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": "*"}
    iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    api.route("$disconnect", ending)
    api.route("join", function, answers=True)
    api.deploy()
    said, gone = api.connect(), api.connect()
    first, second = connection_of(said), connection_of(gone)
    said.close(4001, "bye")
    gone.vanish()
    for connection, code, why in ((first, "4001", "bye"), (second, "1006", "")):
        end = time.monotonic() + END_SECONDS
        while True:
            item = tables.get_item(TableName=name, Key={"id": {"S": connection}}).get("Item")
            if item or time.monotonic() > end:
                break
            time.sleep(0.05)
        assert item and (item["code"]["N"], item["why"]["S"]) == (code, why)
    iam.delete_role_policy(RoleName=role, PolicyName="p")


AUTHORIZER = """
def handler(event, context):
    effect = "Allow" if event["headers"].get("X-Token") == "yes" else "Deny"
    statement = {"Effect": effect, "Action": "execute-api:Invoke", "Resource": event["methodArn"]}
    seen = {"n": 1, "names": ",".join(event), "connection": event["requestContext"]["connectionId"]}
    return {"principalId": "me", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}, "context": seen}
"""


def test_an_authorizer(make_sockets: Callable[..., SocketApi], function: str, make_function: Callable[..., str]) -> None:
    api = make_sockets()
    uri = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{make_function(AUTHORIZER)}/invocations"
    source = ["route.request.header.X-Token"]
    authorizer = api.gateway.create_authorizer(ApiId=api.id, Name="a", AuthorizerType="REQUEST", AuthorizerUri=uri, IdentitySource=source)[
        "AuthorizerId"
    ]
    api.route("$connect", None, AuthorizationType="CUSTOM", AuthorizerId=authorizer)
    api.route("$default", function, answers=True)
    api.deploy()
    for headers, status in (({}, 401), ({"X-Token": "no"}, 403)):
        with pytest.raises(Refused) as error:
            api.connect(headers=headers)
        assert error.value.status == status
    assert json.loads(error.value.body)["message"] == (
        "User is not authorized to access this resource with an explicit deny in an identity-based policy"
    )
    client = api.connect(headers={"X-Token": "yes"})
    client.send("x")
    context = client.json()["requestContext"]
    known = context["authorizer"]
    assert known.pop("integrationLatency") >= 0
    maps = "headers,multiValueHeaders,queryStringParameters,multiValueQueryStringParameters,stageVariables"
    assert known.pop("names") == f"type,methodArn,{maps},requestContext"
    assert known == {"principalId": "me", "n": "1", "connection": context["connectionId"]}


def test_what_is_not_checked_is_not_let_in(make_sockets: Callable[..., SocketApi], api: SocketApi) -> None:
    assert refused(api.gateway.create_route, ApiId=api.id, RouteKey="x", AuthorizationType="AWS_IAM") == (
        "BadRequestException",
        "Currently, authorization is restricted to the $connect route only",
        400,
    )
    keyed = make_sockets()
    keyed.route("$connect", None, ApiKeyRequired=True)
    keyed.deploy()
    with pytest.raises(Refused) as error:
        keyed.connect()
    assert error.value.status == 403


def test_signed_handshakes(make_sockets: Callable[..., SocketApi], function: str) -> None:
    api = make_sockets()
    api.route("$connect", None, AuthorizationType="AWS_IAM")
    api.route("$default", function, answers=True)
    api.deploy()
    with pytest.raises(Refused) as error:
        api.connect()
    assert error.value.status == 403 and json.loads(error.value.body)["message"] == "Missing Authentication Token"
    described = api.platform.described
    signed = AWSRequest("GET", f"{api.platform.endpoint}/_aws/execute-api/{api.id}/v1")
    SigV4Auth(Credentials(described["access_key_id"], described["secret_access_key"]), "execute-api", REGION).add_auth(signed)
    client = api.connect(headers=dict(signed.headers))
    client.send("x")
    context = client.json()["requestContext"]
    assert context["eventType"] == "MESSAGE"
    assert context["identity"]["accessKey"] == described["access_key_id"]
    assert context["identity"]["userArn"] == f"arn:aws:iam::{api.platform.account}:root"


@pytest.mark.parametrize("setting", ["HAAR_SOCKET_IDLE_SECONDS", "HAAR_SOCKET_SECONDS"])
def test_connections_do_not_last_for_ever(fresh_platform: Callable[..., RunningPlatform], setting: str) -> None:
    platform = fresh_platform(environment={setting: "0.5"})
    api = SocketApi(platform)
    api.route("$connect", None)
    api.deploy()
    assert api.connect().next() == (1001, "Going away")


def test_a_stopping_platform_says_so(fresh_platform: Callable[..., RunningPlatform]) -> None:
    platform = fresh_platform()
    api = SocketApi(platform)
    api.route("$connect", None)
    api.deploy()
    client = api.connect()
    platform.stop()
    assert client.next()[0] == 1001


@pytest.mark.parametrize(
    ("expression", "message", "key"),
    [
        ("$request.body.action", '{"action": "a"}', "a"),
        ("$request.body.a.b", '{"a": {"b": 1}}', "1"),
        ("${request.body.a}/${request.body.b}", '{"a": "x", "b": "y"}', "x/y"),
        ("${request.body.a}/${request.body.b}", '{"a": "x"}', None),
        ("$request.body.action", "{", None),
        ("$request.body.action", '{"action": {}}', None),
        ("$request.body.action", '"action"', None),
    ],
)
def test_selection(expression: str, message: str, key: str | None) -> None:
    assert select(expression, message) == key


def raw(platform: RunningPlatform, data: bytes) -> bytes:
    """What comes back for bytes, up to the end of the connection."""
    with socket.create_connection(("127.0.0.1", platform.port), timeout=60) as sent:
        sent.sendall(data)
        parts = []
        while part := sent.recv(65536):
            parts.append(part)
    return b"".join(parts)


def test_an_offer_to_upgrade_that_is_not_taken(platform: RunningPlatform) -> None:
    """A client that offers HTTP/2 is answered as if it had not."""
    head = (
        b"GET /_haar/health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    )
    answer = raw(platform, head)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.count(b"HTTP/1.1") == 1


def test_a_message_right_behind_the_handshake(api: SocketApi) -> None:
    frame = b"\x81\x81\x00\x00\x00\x00x" + b"\x88\x82\x00\x00\x00\x00\x03\xe8"  # a text `x`, and an end with code 1000
    head = (
        f"GET /_aws/execute-api/{api.id}/v1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    answer = raw(api.platform, head.encode() + frame)
    assert answer.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer
    assert answer.endswith(b"\x88\x02\x03\xe8")


def test_many_messages_at_once(api: SocketApi) -> None:
    """More than are answered at a time; none is lost."""
    client = api.connect()
    for number in range(100):
        client.send({"action": "join", "number": number})
    found = {json.loads(client.json()["body"])["number"] for _ in range(100)}
    assert found == set(range(100))


def test_handshakes_that_are_none(api: SocketApi) -> None:
    url = f"{api.platform.endpoint}/_aws/execute-api/{api.id}/v1"
    assert requests.get(url, timeout=60).status_code == 403
    offer = {"Upgrade": "websocket", "Connection": "Upgrade"}
    assert requests.get(url, headers=offer, timeout=60).status_code == 400
    old = offer | {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "8"}
    assert requests.get(url, headers=old, timeout=60).headers["Sec-WebSocket-Version"] == "13"


@pytest.mark.parametrize("frame", [b"\x81\x01x", b"\xf1\x80\x00\x00\x00\x00", b"\x81\x81\x00\x00\x00\x00\xff"])
def test_frames_that_are_none_end_the_connection(api: SocketApi, frame: bytes) -> None:
    """Not masked; reserved bits; no UTF-8."""
    head = (
        f"GET /_aws/execute-api/{api.id}/v1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    answer = raw(api.platform, head.encode() + frame)
    code = int.from_bytes(answer.partition(b"\r\n\r\n")[2][2:4])
    assert code in (1002, 1007)
