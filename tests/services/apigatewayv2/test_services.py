"""First-class service integrations: what they must be given, and what becomes of a request."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from haar.services.apigatewayv2.dataplane.services import Service, _body, _configuration
from haar.services.service import ServiceCall
from haar.wire.http import Request, Response

from .conftest import REGION, HttpApi, refused


def integration(api: HttpApi, subtype: str, parameters: dict[str, str], **more: Any) -> Any:
    given = {"CredentialsArn": f"arn:aws:iam::{api.platform.account}:role/none"} | more
    return api.gateway.create_integration(
        ApiId=api.id,
        IntegrationType="AWS_PROXY",
        IntegrationSubtype=subtype,
        PayloadFormatVersion="1.0",
        RequestParameters=parameters,
        **given,
    )


def test_an_integration_with_a_service(api: HttpApi) -> None:
    made = integration(api, "SQS-SendMessage", {"QueueUrl": "https://q.example/1/q", "MessageBody": "$request.body"})
    made.pop("ResponseMetadata")
    assert made.pop("IntegrationId") and made.pop("CredentialsArn")
    assert made == {
        "ConnectionType": "INTERNET",
        "IntegrationSubtype": "SQS-SendMessage",
        "IntegrationType": "AWS_PROXY",
        "PayloadFormatVersion": "1.0",
        "RequestParameters": {"QueueUrl": "https://q.example/1/q", "MessageBody": "$request.body"},
        "TimeoutInMillis": 30000,
    }


@pytest.mark.parametrize(
    ("subtype", "parameters", "said"),
    [
        ("SNS-Publish", {}, "Operation SNS-Publish is not supported"),
        ("SQS-SendMessage", {"QueueUrl": "q"}, "MessageBody"),
        ("SQS-PurgeQueue", {"QueueUrl": "q", "Nothing": "x"}, "Nothing"),
        (
            "SQS-SendMessage",
            {"QueueUrl": "q", "MessageBody": "$request.body", "MessageAttributes": '{"a":1}'},
            "Invalid selection expression specified: Validation Result: warnings : [], errors : "
            '[Invalid source: {"a":1} specified for destination: MessageAttributes]',
        ),
    ],
)
def test_what_a_subtype_refuses(api: HttpApi, subtype: str, parameters: dict[str, str], said: str) -> None:
    code, message, status = refused(integration, api, subtype, parameters)
    assert (code, status) == ("BadRequestException", 400) and said in message


def test_a_service_that_is_not_here_is_named(api: HttpApi, name: str) -> None:
    iam = api.platform.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "apigateway.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
    parameters = {"Application": "a", "Environment": "e", "Configuration": "c", "ClientId": "$request.querystring.client"}
    made = integration(api, "AppConfig-GetConfiguration", parameters, CredentialsArn=role["Role"]["Arn"])
    api.route("GET /settings", made["IntegrationId"])
    answer = api.call("/settings?client=1")
    assert (answer.status_code, answer.json()) == (501, {"message": "haar does not have AWS AppConfig (GetConfiguration)"})
    without = api.call("/settings")
    assert (without.status_code, without.json()) == (400, {"message": "Bad Request"})
    iam.delete_role(RoleName=name)


async def test_a_service_is_called_as_the_role() -> None:
    """What goes to a service that is here, and what comes back of it."""
    asked: list[ServiceCall] = []

    async def answer(call: ServiceCall) -> Response:
        asked.append(call)
        return Response(200, [("Content-Type", "application/x-amz-json-1.0"), ("Connection", "close")], b'{"MessageId":"1"}')

    parameters = {"QueueUrl": "q", "MessageBody": "$request.body", "DelaySeconds": "5", "MessageAttributes": "$request.body.attributes"}
    made = {"IntegrationSubtype": "SQS-SendMessage", "RequestParameters": parameters, "CredentialsArn": "r", "TimeoutInMillis": 1000}
    body = b'{"attributes":{"a":{"DataType":"String","StringValue":"x"}}}'
    call: Any = SimpleNamespace(
        host=SimpleNamespace(call=answer), request=Request.of("POST", body=body), stage=SimpleNamespace(region=REGION, variables={})
    )
    service = Service(made)
    values = {name: service._value(call, name) for name in parameters}
    principal: Any = object()
    response = await service._ask(call, values, "eu-west-1", principal)
    assert (response.status, response.headers, response.body) == (
        200,
        [("Content-Type", "application/x-amz-json-1.0")],
        b'{"MessageId":"1"}',
    )
    [sent] = asked
    assert (sent.endpoint, sent.action, sent.region, sent.principal) == ("sqs", "SendMessage", "eu-west-1", principal)
    assert json.loads(sent.request.body) == {
        "QueueUrl": "q",
        "MessageBody": body.decode(),
        "DelaySeconds": 5,
        "MessageAttributes": {"a": {"DataType": "String", "StringValue": "x"}},
    }


def test_the_calls_that_are_made() -> None:
    assert _body("PutEvents", {"Detail": "{}", "Source": "s"}) == {"Entries": [{"Detail": "{}", "Source": "s"}]}
    assert _body("StartExecution", {"StateMachineArn": "a", "Input": "{}"}) == {"stateMachineArn": "a", "input": "{}"}
    request = _configuration({"Application": "a b", "Environment": "e", "Configuration": "c", "ClientId": "1"})
    assert (request.path, request.query) == ("/applications/a%20b/environments/e/configurations/c", "client_id=1")
