"""Writers: each changes things of one service, and knows what was answered about them, so that they can be read back and compared."""

import json
import os
import random
import time
from collections.abc import Callable
from typing import Any

import botocore.exceptions
from tests.services.lambda_.conftest import ECHO, zip_of
from tests.support.identity import LAMBDA, policy, statement
from tests.support.platform import RunningPlatform

NAMES = 3
"""How many things of a kind a writer works on."""
SETTLE_SECONDS = 60.0
State = Any
"""What is known of a thing: None when it is not there."""
Step = tuple[State, Callable[[], Any]]
"""What will be known of it when the call has been answered."""


class Writer:
    """Changes things of one service, one after the other; remembers what was answered about each."""

    def __init__(self) -> None:
        self.known: dict[str, State] = {f"{type(self).__name__.lower()}-{number}": None for number in range(NAMES)}
        self.answered = 0
        self.failed: Exception | None = None
        self.doubtful: tuple[str, State] | None = None
        """The change under way."""

    def connect(self, platform: RunningPlatform) -> None:
        raise NotImplementedError

    def steps(self, name: str, state: State) -> list[Step]:
        """What can be done next with a thing in this state."""
        raise NotImplementedError

    def read(self, name: str) -> State:
        """The thing as the platform shows it."""
        raise NotImplementedError

    def work(self, dice: random.Random) -> None:
        """Goes on until the platform is gone."""
        try:
            while True:
                name = dice.choice(list(self.known))
                state, call = dice.choice(self.steps(name, self.known[name]))
                self.doubtful = name, state
                call()
                self.known[name], self.doubtful = state, None
                self.answered += 1
        except (botocore.exceptions.ConnectionError, botocore.exceptions.HTTPClientError):
            return
        except Exception as error:
            self.failed = error

    def check(self) -> None:
        assert self.failed is None, f"{self.doubtful}: {self.failed!r}"
        for name, state in self.known.items():
            found = self.read(name)
            allowed = [state, self.doubtful[1]] if self.doubtful and self.doubtful[0] == name else [state]
            assert found in allowed, f"{name} is {found}, answered was {allowed}"
            self.known[name] = found
        self.doubtful = None


class Tables(Writer):
    def connect(self, platform: RunningPlatform) -> None:
        self.dynamodb = platform.client("dynamodb")
        self.arn = f"arn:aws:dynamodb:us-east-1:{platform.account}:table/"

    def steps(self, name: str, state: State) -> list[Step]:
        if state is None:
            return [({"tags": {}, "items": {}}, lambda: self.make(name))]
        key, value = random.choice("abc"), os.urandom(4).hex()
        item = {"id": {"S": key}, "v": {"S": value}}
        return [
            (state | {"items": state["items"] | {key: value}}, lambda: self.dynamodb.put_item(TableName=name, Item=item)),
            (
                state | {"tags": state["tags"] | {key: value}},
                lambda: self.dynamodb.tag_resource(ResourceArn=self.arn + name, Tags=[{"Key": key, "Value": value}]),
            ),
            (None, lambda: self.remove(name)),
        ]

    def make(self, name: str) -> None:
        self.dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )
        self.dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 1000})

    def remove(self, name: str) -> None:
        self.dynamodb.delete_table(TableName=name)
        self.dynamodb.get_waiter("table_not_exists").wait(TableName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 1000})

    def read(self, name: str) -> State:
        end = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < end:
            try:
                status = self.dynamodb.describe_table(TableName=name)["Table"]["TableStatus"]
            except self.dynamodb.exceptions.ResourceNotFoundException:
                return None
            if status == "ACTIVE":
                break
            time.sleep(0.05)
        tags = self.dynamodb.list_tags_of_resource(ResourceArn=self.arn + name)["Tags"]
        items = self.dynamodb.scan(TableName=name, ConsistentRead=True)["Items"]
        return {"tags": {tag["Key"]: tag["Value"] for tag in tags}, "items": {item["id"]["S"]: item["v"]["S"] for item in items}}


class Functions(Writer):
    def connect(self, platform: RunningPlatform) -> None:
        self.functions, iam = platform.client("lambda"), platform.client("iam")
        self.arn = f"arn:aws:lambda:us-east-1:{platform.account}:function:"
        self.role = f"arn:aws:iam::{platform.account}:role/kills"
        try:
            iam.create_role(RoleName="kills", AssumeRolePolicyDocument=LAMBDA)
        except iam.exceptions.EntityAlreadyExistsException:
            return

    def steps(self, name: str, state: State) -> list[Step]:
        f, text = self.functions, os.urandom(4).hex()
        if state is None:
            fresh = {"description": text, "versions": 0, "alias": None, "sids": [], "tags": {}, "reserved": None, "url": False}
            settings = {"Runtime": "python3.12", "Role": self.role, "Handler": "app.handler", "Code": {"ZipFile": zip_of(app_py=ECHO)}}
            return [(fresh, lambda: f.create_function(FunctionName=name, Description=text, **settings))]
        sids, tags = state["sids"], state["tags"]
        found = [
            (state | {"description": text}, lambda: f.update_function_configuration(FunctionName=name, Description=text)),
            (state | {"tags": tags | {"t": text}}, lambda: f.tag_resource(Resource=self.arn + name, Tags={"t": text})),
            (
                state | {"sids": sorted([*sids, text])},
                lambda: f.add_permission(
                    FunctionName=name, StatementId=text, Action="lambda:InvokeFunction", Principal="events.amazonaws.com"
                ),
            ),
            (state | {"reserved": 2}, lambda: f.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=2)),
            (None, lambda: f.delete_function(FunctionName=name)),
        ]
        if not state["url"]:
            found.append((state | {"url": True}, lambda: f.create_function_url_config(FunctionName=name, AuthType="NONE")))
        if sids:
            left = {"sids": sids[1:]}
            found.append((state | left, lambda: f.remove_permission(FunctionName=name, StatementId=sids[0])))
        # A version of the same code and settings is no new one: each publishes what it changes first.
        number = str(state["versions"])
        if state["versions"] and state["alias"] != number:
            change = f.create_alias if state["alias"] is None else f.update_alias
            found.append((state | {"alias": number}, lambda: change(FunctionName=name, Name="live", FunctionVersion=number)))
        package = zip_of(app_py=f"{ECHO}# {text}")
        published = state | {"versions": state["versions"] + 1}
        found.append((published, lambda: f.update_function_code(FunctionName=name, ZipFile=package, Publish=True)))
        return found

    def read(self, name: str) -> State:
        f = self.functions
        try:
            shown = f.get_function(FunctionName=name)
        except f.exceptions.ResourceNotFoundException:
            return None
        try:
            sids = sorted(each["Sid"] for each in json.loads(f.get_policy(FunctionName=name)["Policy"])["Statement"])
        except f.exceptions.ResourceNotFoundException:
            sids = []
        versions = [version["Version"] for version in f.list_versions_by_function(FunctionName=name)["Versions"]]
        assert versions == ["$LATEST", *map(str, range(1, len(versions)))]
        aliases = f.list_aliases(FunctionName=name)["Aliases"]
        return {
            "description": shown["Configuration"]["Description"],
            "versions": len(versions) - 1,
            "alias": aliases[0]["FunctionVersion"] if aliases else None,
            "sids": sids,
            "tags": shown.get("Tags", {}),
            "reserved": shown.get("Concurrency", {}).get("ReservedConcurrentExecutions"),
            "url": bool(f.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"]),
        }


class Users(Writer):
    def connect(self, platform: RunningPlatform) -> None:
        self.iam = platform.client("iam")

    def steps(self, name: str, state: State) -> list[Step]:
        iam, text = self.iam, random.choice("abc")
        if state is None:
            return [({"policies": [], "keys": 0, "tags": []}, lambda: iam.create_user(UserName=name))]
        document = policy(statement("s3:*"))
        policies, tags = state["policies"], state["tags"]
        found: list[Step] = [
            (
                state | {"policies": sorted({*policies, text})},
                lambda: iam.put_user_policy(UserName=name, PolicyName=text, PolicyDocument=document),
            ),
            (
                state | {"tags": sorted({*tags, text})},
                lambda: iam.tag_user(UserName=name, Tags=[{"Key": text, "Value": ""}]),
            ),
        ]
        if policies:
            left = {"policies": policies[1:]}
            found.append((state | left, lambda: iam.delete_user_policy(UserName=name, PolicyName=policies[0])))
        if state["keys"] < 2:
            found.append((state | {"keys": state["keys"] + 1}, lambda: iam.create_access_key(UserName=name)))
        if state["keys"]:
            key = iam.list_access_keys(UserName=name)["AccessKeyMetadata"][0]["AccessKeyId"]
            found.append((state | {"keys": state["keys"] - 1}, lambda: iam.delete_access_key(UserName=name, AccessKeyId=key)))
        if not policies and not state["keys"]:
            found.append((None, lambda: iam.delete_user(UserName=name)))
        return found

    def read(self, name: str) -> State:
        try:
            policies = self.iam.list_user_policies(UserName=name)["PolicyNames"]
        except self.iam.exceptions.NoSuchEntityException:
            return None
        tags = sorted(tag["Key"] for tag in self.iam.list_user_tags(UserName=name)["Tags"])
        return {"policies": policies, "keys": len(self.iam.list_access_keys(UserName=name)["AccessKeyMetadata"]), "tags": tags}


class RestApis(Writer):
    def connect(self, platform: RunningPlatform) -> None:
        self.gateway = platform.client("apigateway")

    def id(self, name: str) -> str | None:
        found = [api["id"] for api in self.gateway.get_rest_apis(limit=500)["items"] if api["name"] == name]
        assert len(found) <= 1
        return found[0] if found else None

    def steps(self, name: str, state: State) -> list[Step]:
        g, text = self.gateway, os.urandom(2).hex()
        if state is None:
            return [({"paths": ["/"], "methods": [], "deployments": 0, "stages": []}, lambda: g.create_rest_api(name=name))]
        api = self.id(name)
        ids = self.resources(api)
        root = ids["/"]["id"]
        path = random.choice(state["paths"])
        place = {"restApiId": api, "resourceId": ids[path]["id"]}
        found: list[Step] = [
            (
                state | {"paths": sorted([*state["paths"], f"/{text}"])},
                lambda: g.create_resource(restApiId=api, parentId=root, pathPart=text),
            ),
            (None, lambda: g.delete_rest_api(restApiId=api)),
        ]
        if path not in state["methods"]:
            methods = {"methods": sorted([*state["methods"], path])}
            found.append((state | methods, lambda: g.put_method(**place, httpMethod="GET", authorizationType="NONE")))
        elif "methodIntegration" not in ids[path]["resourceMethods"]["GET"]:
            found.append((state, lambda: g.put_integration(**place, httpMethod="GET", type="MOCK")))
        elif len(state["stages"]) < 5 and all("methodIntegration" in ids[each]["resourceMethods"]["GET"] for each in state["methods"]):
            made = {"deployments": state["deployments"] + 1, "stages": sorted([*state["stages"], text])}
            found.append((state | made, lambda: g.create_deployment(restApiId=api, stageName=text)))
        if path != "/":
            gone = {name: [each for each in state[name] if each != path] for name in ("paths", "methods")}
            found.append((state | gone, lambda: g.delete_resource(**place)))
        return found

    def resources(self, api: str | None) -> dict[str, Any]:
        return {item["path"]: item for item in self.gateway.get_resources(restApiId=api, limit=500, embed=["methods"])["items"]}

    def read(self, name: str) -> State:
        api = self.id(name)
        if api is None:
            return None
        items = self.resources(api)
        stages = self.gateway.get_stages(restApiId=api)["item"]
        deployments = [item["id"] for item in self.gateway.get_deployments(restApiId=api, limit=500)["items"]]
        assert {stage["deploymentId"] for stage in stages} <= set(deployments)
        return {
            "paths": sorted(items),
            "methods": sorted(path for path, item in items.items() if "resourceMethods" in item),
            "deployments": len(deployments),
            "stages": sorted(stage["stageName"] for stage in stages),
        }


class HttpApis(Writer):
    def connect(self, platform: RunningPlatform) -> None:
        self.gateway = platform.client("apigatewayv2")

    def id(self, name: str) -> str | None:
        found = [api["ApiId"] for api in self.gateway.get_apis(MaxResults="500")["Items"] if api["Name"] == name]
        assert len(found) <= 1
        return found[0] if found else None

    def steps(self, name: str, state: State) -> list[Step]:
        g, text = self.gateway, os.urandom(2).hex()
        if state is None:
            target = {"Target": "https://example.com", "RouteKey": "GET /"}
            made = {"routes": ["GET /"], "integrations": 1, "stages": ["$default"]}
            return [(made, lambda: g.create_api(Name=name, ProtocolType="HTTP", **target))]
        api = self.id(name)
        settings = {"IntegrationType": "HTTP_PROXY", "IntegrationMethod": "GET", "IntegrationUri": "https://example.com"}
        return [
            (state | {"routes": sorted([*state["routes"], f"GET /{text}"])}, lambda: g.create_route(ApiId=api, RouteKey=f"GET /{text}")),
            (
                state | {"integrations": state["integrations"] + 1},
                lambda: g.create_integration(ApiId=api, PayloadFormatVersion="1.0", **settings),
            ),
            (state | {"stages": sorted([*state["stages"], text])}, lambda: g.create_stage(ApiId=api, StageName=text, AutoDeploy=True)),
            (None, lambda: g.delete_api(ApiId=api)),
        ]

    def read(self, name: str) -> State:
        api = self.id(name)
        if api is None:
            return None
        return {
            "routes": sorted(item["RouteKey"] for item in self.gateway.get_routes(ApiId=api, MaxResults="500")["Items"]),
            "integrations": len(self.gateway.get_integrations(ApiId=api, MaxResults="500")["Items"]),
            "stages": sorted(item["StageName"] for item in self.gateway.get_stages(ApiId=api, MaxResults="500")["Items"]),
        }


class Groups(Writer):
    """Log groups, and a metric of the same name for each event."""

    def connect(self, platform: RunningPlatform) -> None:
        self.logs, self.metrics = platform.client("logs"), platform.client("cloudwatch")

    def steps(self, name: str, state: State) -> list[Step]:
        if state is None:
            return [({"days": None, "events": None, "measured": 0}, lambda: self.logs.create_log_group(logGroupName=name))]
        where, days = {"logGroupName": name, "logStreamName": "s"}, random.choice((1, 3, 5))
        measured = {"Namespace": "kills", "MetricData": [{"MetricName": name, "Value": 1}]}
        found: list[Step] = [
            (state | {"days": days}, lambda: self.logs.put_retention_policy(logGroupName=name, retentionInDays=days)),
            (state | {"measured": state["measured"] + 1}, lambda: self.metrics.put_metric_data(**measured)),
        ]
        if state["events"] is None:
            found.append((state | {"events": 0}, lambda: self.logs.create_log_stream(**where)))
        else:
            # A batch is whole or not there.
            batch = [{"timestamp": int(time.time() * 1000), "message": f"{number}"} for number in range(3)]
            found.append((state | {"events": state["events"] + 3}, lambda: self.logs.put_log_events(**where, logEvents=batch)))
            found.append((state | {"events": None}, lambda: self.logs.delete_log_stream(**where)))
        return found

    def read(self, name: str) -> State:
        groups = self.logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        if not groups:
            return None
        events = None
        if self.logs.describe_log_streams(logGroupName=name)["logStreams"]:
            pages = self.logs.get_paginator("filter_log_events").paginate(logGroupName=name)
            events = sum(len(page["events"]) for page in pages)
        now = time.time()
        points = self.metrics.get_metric_statistics(
            Namespace="kills", MetricName=name, StartTime=now - 3600, EndTime=now + 3600, Period=3600, Statistics=["SampleCount"]
        )["Datapoints"]
        return {
            "days": groups[0].get("retentionInDays"),
            "events": events,
            "measured": int(sum(point["SampleCount"] for point in points)),
        }


def writers() -> list[Writer]:
    """One for each service."""
    return [Tables(), Functions(), Users(), RestApis(), HttpApis(), Groups()]
