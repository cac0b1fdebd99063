"""`haar demo`: a table, a function and an API from `examples/db-api`, made, called and shown."""

import io
import json
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from haar.cli.clients import answering, client
from haar.cli.env import describe
from haar.cli.options import Data
from haar.cli.say import complain, say

EXAMPLE = Path(__file__).parents[3] / "examples" / "db-api" / "python" / "app.py"
NAME = "haar-demo"
POLICIES = (
    "arn:aws:iam::aws:policy/AmazonDynamoDBFullAccess",
    "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
)
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
CALL_SECONDS = 30


def add_to(app: typer.Typer) -> None:
    app.command("demo")(demo)


def demo(
    data: Data = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take away what the demo made.")] = False,
) -> None:
    """Makes a table, a function and an API on the running platform, calls it and shows its URL."""
    described = describe(data)
    if not EXAMPLE.is_file():
        raise complain(f"{EXAMPLE} is missing: the demo runs from a checkout of haar")
    with answering(described):
        demonstration = Demonstration(described)
        demonstration.remove()
        if remove:
            say("the demo is gone")
            return
        demonstration.make()


class Demonstration:
    """Makes the demo with the AWS SDK, as any client would."""

    def __init__(self, described: dict[str, Any]) -> None:
        self.described = described
        names = ("dynamodb", "iam", "lambda", "apigateway")
        self.dynamodb, self.iam, self.functions, self.gateway = (client(described, name) for name in names)

    def make(self) -> None:
        region, account = self.described["region"], self.described["account"]
        self.dynamodb.create_table(
            TableName=NAME,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )
        self.dynamodb.get_waiter("table_exists").wait(TableName=NAME, WaiterConfig={"Delay": 1})
        say(f"table     {NAME}")
        role = self.iam.create_role(RoleName=NAME, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        for policy in POLICIES:
            self.iam.attach_role_policy(RoleName=NAME, PolicyArn=policy)
        say(f"role      {role}")
        function = self.functions.create_function(
            FunctionName=NAME, Runtime="python3.12", Handler="app.handler", Role=role, Timeout=10, Code={"ZipFile": _package()}
        )["FunctionArn"]
        self.functions.get_waiter("function_active_v2").wait(FunctionName=NAME, WaiterConfig={"Delay": 1})
        say(f"function  {function}")
        api = self._make_api(function)
        say(f"API       {api}")
        url = f"http://{api}.execute-api.{region}.localhost:{self.described['endpoint'].rsplit(':', 1)[1]}/demo/db-api"
        by_path = f"{self.described['endpoint']}/restapis/{api}/demo/_user_request_/db-api"
        _call("POST", by_path, {"TableName": NAME, "Item": {"id": "1", "text": f"hello from account {account}"}})
        answer = _call("GET", f"{by_path}?TableName={NAME}")
        say(f"\nGET {url}?TableName={NAME}\n{json.dumps(json.loads(answer)['Items'], indent=2)}")
        say(f"\nNext:\n  curl '{url}?TableName={NAME}'")
        say(f"  aws logs filter-log-events --log-group-name /aws/lambda/{NAME} --query 'events[].message'\n  haar demo --remove")

    def _make_api(self, function: str) -> str:
        region, account = self.described["region"], self.described["account"]
        api: str = self.gateway.create_rest_api(name=NAME)["id"]
        root = self.gateway.get_resources(restApiId=api)["items"][0]["id"]
        resource = self.gateway.create_resource(restApiId=api, parentId=root, pathPart="db-api")["id"]
        self.gateway.put_method(restApiId=api, resourceId=resource, httpMethod="ANY", authorizationType="NONE")
        self.gateway.put_integration(
            restApiId=api,
            resourceId=resource,
            httpMethod="ANY",
            type="AWS_PROXY",
            integrationHttpMethod="POST",
            uri=f"arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{function}/invocations",
        )
        self.functions.add_permission(
            FunctionName=NAME,
            StatementId="api",
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
            SourceArn=f"arn:aws:execute-api:{region}:{account}:{api}/*/*/db-api",
        )
        self.gateway.create_deployment(restApiId=api, stageName="demo")
        return api

    def remove(self) -> None:
        """Takes away what an earlier demo made, as far as it is there."""
        for api in self.gateway.get_rest_apis(limit=500)["items"]:
            if api["name"] == NAME:
                self.gateway.delete_rest_api(restApiId=api["id"])
        _unless_missing(lambda: self.functions.delete_function(FunctionName=NAME))
        for policy in POLICIES:
            _unless_missing(partial(self.iam.detach_role_policy, RoleName=NAME, PolicyArn=policy))
        _unless_missing(lambda: self.iam.delete_role(RoleName=NAME))
        if _unless_missing(lambda: self.dynamodb.delete_table(TableName=NAME)):
            self.dynamodb.get_waiter("table_not_exists").wait(TableName=NAME, WaiterConfig={"Delay": 1})


def _unless_missing(act: Callable[[], Any]) -> bool:
    from botocore.exceptions import ClientError

    try:
        act()
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ResourceNotFoundException", "NoSuchEntity", "NoSuchEntityException"):
            return False
        raise
    return True


def _package() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.write(EXAMPLE, "app.py")
    return buffer.getvalue()


def _call(method: str, url: str, body: dict[str, Any] | None = None) -> bytes:
    request = urllib.request.Request(url, method=method, data=json.dumps(body).encode() if body else None)  # noqa: S310 - our own http URL
    try:
        with urllib.request.urlopen(request, timeout=CALL_SECONDS) as answer:  # noqa: S310 - as above
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        said = error.read().decode("utf-8", "replace")
        raise complain(f"{method} {url}: {error.code} {said}; why: haar invoke {NAME}, haar logs {NAME}") from None
    except OSError as error:
        raise complain(f"{method} {url}: {error}") from None
