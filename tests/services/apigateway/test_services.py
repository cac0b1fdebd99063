"""AWS integrations with services: DynamoDB and others behind methods, as a role or as the caller."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.services.apigateway.conftest import REGION, Api, refused
from tests.support.platform import RunningPlatform

JSON = "application/json"


def trust(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def make_role(platform: RunningPlatform, name: str) -> Iterator[Callable[..., str]]:
    """make(*actions, trusted=…) -> the ARN of a role that may do these."""
    iam = platform.client("iam")
    made: list[str] = []

    def make(*actions: str, trusted: str = "apigateway.amazonaws.com") -> str:
        role = f"{name}-{len(made)}"
        arn: str = iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust(trusted))["Role"]["Arn"]
        made.append(role)
        if actions:
            policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}
            iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=json.dumps(policy))
        return arn

    yield make
    for role in made:
        for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            iam.delete_role_policy(RoleName=role, PolicyName=policy)
        iam.delete_role(RoleName=role)


@pytest.fixture
def table(platform: RunningPlatform, name: str) -> Iterator[str]:
    dynamodb = platform.client("dynamodb")
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    yield name
    dynamodb.delete_table(TableName=name)


def integrate(api: Api, path: str, method: str, uri: str, role: str, template: str, responses: dict[str, Any], **more: Any) -> None:
    """A method in front of a service; `responses` is status -> (selection pattern, template)."""
    settings = {"authorizationType": more.pop("authorizationType", "NONE")}
    where = api.method(path, method, **settings)
    verb = more.pop("verb", "POST")
    api.gateway.put_integration(
        **where,
        type="AWS",
        integrationHttpMethod=verb,
        uri=f"arn:aws:apigateway:{REGION}:{uri}",
        credentials=role,
        requestTemplates={JSON: template},
        **more,
    )
    for status, (pattern, answer) in responses.items():
        api.gateway.put_method_response(**where, statusCode=status)
        given = {"selectionPattern": pattern} if pattern else {}
        api.gateway.put_integration_response(**where, statusCode=status, responseTemplates={JSON: answer}, **given)


def test_a_table_behind_an_api(api: Api, make_role: Callable[..., str], table: str):
    role = make_role("dynamodb:PutItem", "dynamodb:GetItem")
    denied = {"200": ("", "$input.body"), "403": ("4\\d{2}", '{"type": "$input.path(\'$.__type\')"}')}
    put = '{"TableName": "$stageVariables.table", "Item": {"id": {"S": "$input.path(\'$.id\')"}, "n": {"N": "$input.path(\'$.n\')"}}}'
    get = '{"TableName": "$stageVariables.table", "Key": {"id": {"S": "$input.params(\'id\')"}}}'
    shown = "{\"n\": $input.path('$.Item.n.N')}"
    integrate(api, "/items", "POST", "dynamodb:action/PutItem", role, put, {"201": ("", '{"made": true}')})
    integrate(api, "/items/{id}", "GET", "dynamodb:action/GetItem", role, get, {"200": ("", shown)})
    integrate(api, "/items/{id}", "DELETE", "dynamodb:action/${stageVariables.action}", role, get, denied)
    api.deploy("v1", variables={"table": table, "action": "DeleteItem"})
    made = api.call("/items", "POST", json={"id": "a", "n": 7})
    assert (made.status_code, made.json()) == (201, {"made": True})
    assert api.call("/items/a").json() == {"n": 7}
    gone = api.call("/items/a", "DELETE")
    assert gone.status_code == 403 and gone.json()["type"].endswith("#AccessDeniedException")
    assert api.call("/items/a").json() == {"n": 7}


def test_errors_of_a_service_are_selected_by_status(api: Api, make_role: Callable[..., str]):
    answers = {"200": ("", "$input.body"), "404": ("400", "$input.path('$.__type')")}
    integrate(api, "/", "GET", "dynamodb:action/DescribeTable", make_role("dynamodb:*"), '{"TableName": "no-such-table"}', answers)
    api.deploy()
    answer = api.call("/")
    assert (answer.status_code, answer.text) == (404, "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException")


def test_the_role_must_trust_the_gateway(api: Api, make_role: Callable[..., str]):
    role = make_role("dynamodb:ListTables", trusted="lambda.amazonaws.com")
    integrate(api, "/", "GET", "dynamodb:action/ListTables", role, "{}", {"200": ("", "$input.body")})
    api.deploy()
    answer = api.call("/")
    assert (answer.status_code, answer.json()) == (500, {"message": "Internal server error"})
    log = api.gateway.test_invoke_method(**api.at("/"))["log"]
    assert "API Gateway does not have permission to assume the provided role" in log


def test_query_services_and_paths(api: Api, make_role: Callable[..., str], name: str, platform: RunningPlatform):
    role = make_role("sts:*", "logs:*", "lambda:*", "iam:GetRole")
    as_is = {"200": ("", "$input.body")}
    integrate(api, "/me", "GET", "sts:action/GetCallerIdentity", role, "", as_is)
    integrate(
        api,
        "/role",
        "GET",
        "iam:action/GetRole",
        role,
        "",
        as_is,
        requestParameters={"integration.request.querystring.RoleName": f"'{role.rpartition('/')[2]}'"},
    )
    integrate(
        api,
        "/groups",
        "POST",
        "logs:path//",
        role,
        f'{{"logGroupName": "{name}"}}',
        as_is,
        requestParameters={
            "integration.request.header.X-Amz-Target": "'Logs_20140328.CreateLogGroup'",
            "integration.request.header.Content-Type": "'application/x-amz-json-1.1'",
        },
    )
    integrate(api, "/functions", "GET", "lambda:path/2015-03-31/functions/", role, "", as_is, verb="GET")
    api.deploy()
    me = api.call("/me")
    assert f"{role.rpartition('/')[2]}/BackplaneAssumeRoleSession" in me.text
    assert f"<Arn>{role}</Arn>" in api.call("/role").text
    assert api.call("/groups", "POST", json={}).status_code == 200
    logs = platform.client("logs")
    assert [one["logGroupName"] for one in logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]] == [name]
    logs.delete_log_group(logGroupName=name)
    assert "Functions" in api.call("/functions").json()


def test_as_the_caller(api: Api, platform: RunningPlatform, name: str):
    iam = platform.client("iam")
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    key = iam.create_access_key(UserName=name)["AccessKey"]
    allow = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy)
    answers = {"200": ("", "$input.body"), "403": ("4..", "$input.body")}
    caller = "arn:aws:iam::*:user/*"
    integrate(api, "/me", "GET", "sts:action/GetCallerIdentity", caller, "", answers, authorizationType="AWS_IAM")
    integrate(api, "/tables", "GET", "dynamodb:action/ListTables", caller, "{}", answers, authorizationType="AWS_IAM")
    api.deploy()

    def signed(path: str) -> Any:
        url = f"{platform.endpoint}/restapis/{api.id}/v1/_user_request_{path}"
        request = AWSRequest("GET", url)
        SigV4Auth(Credentials(key["AccessKeyId"], key["SecretAccessKey"]), "execute-api", REGION).add_auth(request)
        return api.call(path, headers=dict(request.headers.items()))

    assert f"<Arn>{arn}</Arn>" in signed("/me").text
    refusal = signed("/tables")
    assert refusal.status_code == 403 and f"{arn} is not authorized to perform: dynamodb:ListTables" in refusal.text
    iam.delete_user_policy(UserName=name, PolicyName="p")
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=name)


def test_an_operation_that_is_not_there(api: Api, make_role: Callable[..., str]):
    integrate(api, "/", "GET", "dynamodb:action/NoSuchThing", make_role(), "{}", {"200": ("", "")})
    integrate(api, "/x", "GET", "nosuchservice:action/Do", make_role(), "{}", {"200": ("", "")})
    api.deploy()
    assert api.call("/").status_code == 500 and api.call("/x").status_code == 500


def test_what_cannot_be_an_integration(api: Api, platform: RunningPlatform):
    where = api.method("/")

    def put(**given: Any) -> Any:
        return api.gateway.put_integration(**where, integrationHttpMethod="POST", **given)

    table = f"arn:aws:apigateway:{REGION}:dynamodb:action/PutItem"
    role = f"arn:aws:iam::{platform.account}:role/r"
    kinds = "Integrations of type 'AWS_PROXY' currently only supports Lambda function and Firehose stream invocations."
    assert refused(put, type="AWS", uri=table)[1] == "Role ARN must be specified for AWS integrations"
    assert refused(put, type="AWS_PROXY", uri=table, credentials=role)[1] == kinds
    foreign = "arn:aws:iam::999999999999:role/r"
    assert refused(put, type="AWS", uri=table, credentials=foreign)[1] == "Cross-account pass role is not allowed."


def test_a_role_that_a_stage_variable_names_takes_the_right_to_pass_any(api: Api, platform: RunningPlatform, name: str):
    iam = platform.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    some = f"arn:aws:iam::{platform.account}:role/harmless-*"
    allow = [
        {"Effect": "Allow", "Action": "apigateway:*", "Resource": "*"},
        {"Effect": "Allow", "Action": "iam:PassRole", "Resource": some},
    ]
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": allow}))
    gateway = platform.client("apigateway", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    where = api.method("/")

    def put(role: str) -> Any:
        uri = f"arn:aws:apigateway:{REGION}:dynamodb:action/Scan"
        return gateway.put_integration(**where, type="AWS", integrationHttpMethod="POST", uri=uri, credentials=role)

    put(some.replace("*", "x"))
    whole, ending = f"arn:aws:iam::{platform.account}:${{stageVariables.role}}", some.replace("*", "${stageVariables.r}")
    for role in ("${stageVariables.role}", whole, ending):
        code, message, _ = refused(put, role)
        assert code == "AccessDeniedException" and "iam:PassRole" in message
    iam.delete_user_policy(UserName=name, PolicyName="p")
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=name)
