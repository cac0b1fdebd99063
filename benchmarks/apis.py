"""APIs: requests to deployed REST APIs: in front of a warm function, of a mock, out of the cache, and in an API of many resources."""

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import botocore.exceptions

from benchmarks.functions import MEMORY_MB, TRUST, zip_of
from benchmarks.load import Signed, check, latencies, median, percentile, rate
from benchmarks.peers import Target

FUNCTION = 'def handler(event, context):\n    return {"statusCode": 200, "body": "{}"}\n'
MOCKED = b'{"ok": true}'
CALLS = 1000
CLIENTS = 16
MANY, FEW = 300, 3
"""Resources of the large API (as many as one may have, the root among them) and of the small one."""
UNBOUND = "1000000"
"""Requests a second that the account may make: what is measured is not the throttle."""
WARM_SECONDS = 6.0
"""As many environments as clients are started meanwhile."""
STAGE = "bench"
READY_SECONDS = 30.0


class Api:
    """One REST API of a target."""

    def __init__(self, target: Target, name: str) -> None:
        self.target = target
        self.client = target.client("apigateway")
        made = self.client.create_rest_api(name=name)
        self.id, self.root = made["id"], made.get("rootResourceId") or self._root(made["id"])

    def _root(self, api_id: str) -> str:
        return str(next(one["id"] for one in self.client.get_resources(restApiId=api_id)["items"] if one["path"] == "/"))

    def method(self, part: str, **integration: Any) -> None:
        resource = self.client.create_resource(restApiId=self.id, parentId=self.root, pathPart=part)["id"]
        where = {"restApiId": self.id, "resourceId": resource, "httpMethod": "GET"}
        self.client.put_method(**where, authorizationType="NONE")
        self.client.put_integration(**where, **integration)
        if integration["type"] == "MOCK":
            self.client.put_method_response(**where, statusCode="200")
            self.client.put_integration_response(**where, statusCode="200", responseTemplates={"application/json": MOCKED.decode()})

    def mock(self, part: str) -> None:
        self.method(part, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})

    def function(self, part: str, arn: str) -> None:
        uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations"
        self.method(part, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)

    def deploy(self, **settings: Any) -> None:
        self.client.create_deployment(restApiId=self.id, stageName=STAGE, **settings)

    def request(self, part: str, expected: bytes = MOCKED) -> Signed:
        """A GET that the target answers as it should. Raises when there is none."""
        host = f"{self.id}.execute-api.us-east-1.localhost:{urlsplit(self.target.endpoint).port}"
        tried = (
            Signed("GET", f"/{STAGE}/{part}", {"Host": host}, b""),
            Signed("GET", f"/restapis/{self.id}/{STAGE}/_user_request_/{part}", {}, b""),
        )
        end, answers = time.monotonic() + READY_SECONDS, []
        while time.monotonic() < end:
            for one in tried:
                status, body = check(self.target, one)
                if (status, body) == (200, expected):
                    return one
                answers.append((status, body[:200]))
            time.sleep(0.2)
        raise RuntimeError(f"{self.target.name} does not serve /{part}: {answers[-2:]}")


def measure(target: Target, seconds: float, rounds: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Rows of (what, value, unit); the value is None for what the target has not."""
    _unbind(target)
    rows: list[dict[str, Any]] = []

    def row(what: str, value: float | None, unit: str) -> None:
        rows.append({"what": what, "value": value, "unit": unit})
        say(f"{target.name}: {what}: {'none' if value is None else f'{value:,.2f}'} {unit}")

    small, large, cached = Api(target, "small"), Api(target, "large"), Api(target, "cached")
    small.function("function", _function(target))
    for number in range(FEW - 1):
        small.mock(f"r{number}")
    for number in range(MANY - 1):
        large.mock(f"r{number}")
    cached.mock("r0")
    small.deploy()
    large.deploy()
    proxied = small.request("function", b"{}")
    latencies(target, proxied, 50)
    taken = latencies(target, proxied, CALLS)
    row("proxied to a warm Python function, median at 1 client", median(taken), "ms")
    row("proxied to a warm Python function, p99 at 1 client", percentile(taken, 0.99), "ms")
    rate(target, [proxied], CLIENTS, max(seconds, WARM_SECONDS))
    row(f"proxied to a warm Python function, at {CLIENTS} clients", _median_rate(target, proxied, seconds, rounds), "requests/s")
    few, many = small.request("r0"), large.request(f"r{MANY - 2}")
    rates: dict[str, list[float]] = {"few": [], "many": []}
    for _ in range(rounds):  # in turns: the machine may be busier at one time than at another
        rates["few"].append(rate(target, [few], CLIENTS, seconds))
        rates["many"].append(rate(target, [many], CLIENTS, seconds))
    row(f"MOCK in an API of {FEW} resources, at {CLIENTS} clients", median(rates["few"]), "requests/s")
    row(f"MOCK in an API of {MANY} resources, at {CLIENTS} clients", median(rates["many"]), "requests/s")
    row(f"out of the cache, at {CLIENTS} clients", _cached(target, cached, seconds, rounds), "requests/s")
    return rows


def _median_rate(target: Target, request: Signed, seconds: float, rounds: int) -> float:
    return median([rate(target, [request], CLIENTS, seconds) for _ in range(rounds)])


def _unbind(target: Target) -> None:
    """Raises what the account may do, where a target limits it."""
    operations = [{"op": "replace", "path": f"/throttle/{name}", "value": UNBOUND} for name in ("rateLimit", "burstLimit")]
    try:
        target.client("apigateway").update_account(patchOperations=operations)
    except botocore.exceptions.ClientError:
        if target.name == "haar":
            raise


def _cached(target: Target, api: Api, seconds: float, rounds: int) -> float | None:
    """Only haar caches."""
    if target.name != "haar":
        return None
    api.deploy(cacheClusterEnabled=True, cacheClusterSize="0.5")
    operations = [
        {"op": "replace", "path": "/*/*/caching/enabled", "value": "true"},
        {"op": "replace", "path": "/*/*/caching/ttlInSeconds", "value": "3600"},
        {"op": "replace", "path": "/*/*/throttling/rateLimit", "value": UNBOUND},
        {"op": "replace", "path": "/*/*/throttling/burstLimit", "value": UNBOUND},
    ]
    api.client.update_stage(restApiId=api.id, stageName=STAGE, patchOperations=operations)
    return _median_rate(target, api.request("r0"), seconds, rounds)


def _function(target: Target) -> str:
    iam, client, name = target.client("iam"), target.client("lambda"), "bench-api"
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    settings = {"Runtime": "python3.12", "Handler": "app.handler", "Timeout": 30, "MemorySize": MEMORY_MB}
    made = client.create_function(FunctionName=name, Role=role, Code={"ZipFile": zip_of({"app.py": FUNCTION})}, **settings)
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    client.add_permission(FunctionName=name, StatementId="api", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com")
    return str(made["FunctionArn"])
