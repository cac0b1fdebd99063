"""Tables for the black-box tests of DynamoDB."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import botocore.exceptions
import pytest
from tests.support.platform import RunningPlatform
from tests.support.postgresql import running_postgresql

from haar.auth.principal import Principal
from haar.services.dynamodb import service
from haar.services.service import Context, Demand, Host

WAIT_SECONDS = 60.0
ROOT = Principal("root", "123456789012", "arn:aws:iam::123456789012:root", "123456789012")


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    """The platform of these tests; on PostgreSQL with HAAR_TEST_STORE=postgresql."""
    with ExitStack() as stack:
        flags = []
        if os.environ.get("HAAR_TEST_STORE") == "postgresql":
            flags = ["--store", stack.enter_context(running_postgresql())]
        running = RunningPlatform(tmp_path_factory.mktemp("haar"), *flags).start()
        yield running
        running.stop()


def eventually(work: Callable[[], Any], seconds: float = WAIT_SECONDS) -> Any:
    """The first true answer of `work`, asked again and again."""
    end = time.monotonic() + seconds
    while True:
        found = work()
        if found:
            return found
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.05)


def refusal(work: Callable[..., Any], **parameters: Any) -> tuple[str, str]:
    """Code and message of the error that a call must end with."""
    with pytest.raises(botocore.exceptions.ClientError) as error:
        work(**parameters)
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


class Table:
    """One table, its client, and its name in every call."""

    def __init__(self, client: Any, name: str) -> None:
        self.client = client
        self.name = name

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        """`table.put_item(Item=…)`: the client's operation on this table."""
        call = getattr(self.client, operation)
        return lambda **parameters: call(TableName=self.name, **parameters)

    @property
    def arn(self) -> str:
        return str(self.describe_table()["Table"]["TableArn"])

    def index(self, name: str) -> dict[str, Any] | None:
        indexes = self.describe_table()["Table"].get("GlobalSecondaryIndexes", [])
        return next((index for index in indexes if index["IndexName"] == name), None)


def schema(*names: str) -> list[dict[str, str]]:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"), strict=False)]


@pytest.fixture
def dynamodb(client: Callable[..., Any]) -> Any:
    return client("dynamodb")


@pytest.fixture
def table(dynamodb: Any, name: str) -> Iterator[Callable[..., Table]]:
    """make("pk:S", "sk:N", indexes={"byX": ("x:S", "sk:N")}, local={…}, **parameters) -> Table"""
    made: list[str] = []

    def make(*keys: str, indexes: dict[str, Any] | None = None, local: dict[str, Any] | None = None, **parameters: Any) -> Table:
        defined = dict(
            key.split(":") for key in [*keys, *(each for keys in [*(indexes or {}).values(), *(local or {}).values()] for each in keys)]
        )
        for member, given in (("GlobalSecondaryIndexes", indexes), ("LocalSecondaryIndexes", local)):
            if given:
                parameters[member] = [
                    {
                        "IndexName": index,
                        "KeySchema": schema(*(each.split(":")[0] for each in attributes)),
                        "Projection": {"ProjectionType": "ALL"},
                    }
                    for index, attributes in given.items()
                ]
        table_name = f"{name}-{len(made)}"
        made.append(table_name)
        dynamodb.create_table(
            TableName=table_name,
            KeySchema=schema(*(key.split(":")[0] for key in keys)),
            AttributeDefinitions=[{"AttributeName": each, "AttributeType": kind} for each, kind in defined.items()],
            **{"BillingMode": "PAY_PER_REQUEST", **parameters},
        )
        return Table(dynamodb, table_name)

    yield make
    for table_name in made:
        try:
            dynamodb.delete_table(TableName=table_name)
        except dynamodb.exceptions.ResourceNotFoundException:
            continue


class Asking:
    """Operations on a host in this process, without permissions: `await ask("PutItem", TableName=…)`."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def _context(self, operation: str) -> Context:
        return Context(self.host, ROOT, "us-east-1", "r", operation, headers={"content-length": "1"})

    async def demands(self, operation: str, input: dict[str, Any]) -> Sequence[Demand]:
        """What must be allowed for it; checks the input as well."""
        assert service.check is not None
        service.check(operation, input)
        found = service.operations[operation].demands(self._context(operation), input)
        return found if isinstance(found, tuple | list) else await found  # type: ignore[misc]

    async def __call__(self, operation: str, **input: Any) -> Any:
        await self.demands(operation, input)
        return await service.operations[operation].handler(self._context(operation), input)


@pytest.fixture
def ask(host: Host) -> Asking:
    return Asking(host)
