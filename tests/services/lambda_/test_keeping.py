"""Packages as they are kept and cleared away, and what other services ask: in process."""

import io
import json
import zipfile
from typing import Any

import pytest
from tests.services.lambda_.conftest import zip_of

from haar.auth.principal import Principal
from haar.execution.contract import FunctionSpec, InvocationResult
from haar.services.lambda_ import functions, packages, service
from haar.services.lambda_.public import Source, invoke
from haar.services.service import Context, Host
from haar.wire.errors import ServiceError

ROLE = "arn:aws:iam::123456789012:role/r"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"


class Clock:
    seconds = 1_000_000.0

    def now(self) -> float:
        return self.seconds


class Executor:
    async def invoke(self, spec: FunctionSpec, event: bytes, **more: Any) -> InvocationResult:
        return InvocationResult(json.dumps([spec.version, json.loads(event), more["request_id"], more["invoked_arn"]]).encode())

    async def retire(self, arn: str) -> None: ...

    async def forget(self, arn: str, version: str = "") -> None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


@pytest.fixture
def context(host: Host, monkeypatch: pytest.MonkeyPatch) -> Context:
    async def trusted(host: Host, role: str, of: str, **more: Any) -> bool:
        return True

    monkeypatch.setattr(functions, "role_trusts", trusted)
    host.clock, host.executor = Clock(), Executor()
    return Context(host, Principal("root", host.account, f"arn:aws:iam::{host.account}:root", host.account), "us-east-1", "r")


async def call(context: Context, operation: str, **input: Any) -> Any:
    return await service.operations[operation].handler(context, input)


async def create(context: Context, name: str, package: bytes, **more: Any) -> Any:
    settings = {"Runtime": "python3.12", "Role": ROLE, "Handler": "a.b", "Code": {"ZipFile": package}}
    return await call(context, "CreateFunction", FunctionName=name, **settings | more)


async def test_a_package_stays_while_a_version_holds_it(context: Context) -> None:
    host = context.host
    first, second = zip_of(a_py="1" * 900_000), zip_of(a_py="2")
    sha256 = (await create(context, "f", first, Publish=True))["CodeSha256"]
    await create(context, "g", first)

    async def kept(seconds: float = packages.GRACE_SECONDS + 1) -> bool:
        context.host.clock.seconds += seconds  # type: ignore[attr-defined]
        await packages.collect(host)
        return await packages.fetch(host.store, sha256) == first

    assert await kept()
    await call(context, "UpdateFunctionCode", FunctionName="f", ZipFile=second)
    assert await kept(), "version 1 and g hold it"
    await call(context, "DeleteFunction", FunctionName="g")
    assert await kept()
    await call(context, "DeleteFunction", FunctionName="f", Qualifier="1")
    assert await kept(60), "environments may still be starting with it"
    assert not await kept() and await packages.fetch(host.store, sha256) is None
    rest = (await call(context, "GetFunction", FunctionName="f"))["Configuration"]["CodeSha256"]
    assert {row.partition for row in await host.store.scan(packages.CODE)} == {packages.key_of(rest)}
    assert await host.store.scan(packages.GARBAGE) == []


async def test_a_package_of_many_chunks(context: Context) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", context.host.ids.bytes(3 * packages.CHUNK + 5))
    package = await packages.keep(context.host, buffer.getvalue())
    assert package.size == len(buffer.getvalue())
    assert await packages.fetch(context.host.store, package.sha256) == buffer.getvalue()
    context.host.clock.seconds += packages.GRACE_SECONDS + 1  # type: ignore[attr-defined]
    assert await packages.keep(context.host, buffer.getvalue()) == package, "what is sent again stays"
    await packages.collect(context.host)
    assert await packages.fetch(context.host.store, package.sha256) == buffer.getvalue()


async def test_an_archive_that_unpacks_to_too_much(context: Context) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for index in range(25):
            archive.writestr(str(index), b"\0" * (packages.MAX_UNZIPPED // 25))
    with pytest.raises(ServiceError) as caught:
        await create(context, "f", buffer.getvalue())
    assert caught.value.message == "Unzipped size must be smaller than 262144000 bytes"


async def test_a_service_invokes_what_lets_it(context: Context) -> None:
    await create(context, "f", zip_of(a_py="1"))
    api = "arn:aws:execute-api:us-east-1:123456789012:abc/v1/GET/users"
    source = Source("apigateway.amazonaws.com", api, "123456789012")

    async def ask(source: Source = source, **more: Any) -> Any:
        return json.loads((await invoke(context.host, ARN, b'{"a": 1}', caller=source, request_id="q", region="us-east-1", **more)).payload)

    with pytest.raises(ServiceError) as caught:
        await ask()
    assert caught.value.code == "AccessDeniedException"
    grant = {"Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com"}
    pattern = "arn:aws:execute-api:us-east-1:123456789012:abc/*/*/*"
    await call(context, "AddPermission", FunctionName="f", StatementId="s", SourceArn=pattern, SourceAccount="123456789012", **grant)
    assert await ask() == ["$LATEST", {"a": 1}, "q", ARN]
    for other in (
        Source("apigateway.amazonaws.com", api.replace("abc", "abd"), "123456789012"),
        Source("apigateway.amazonaws.com", api, "210987654321"),
        Source("s3.amazonaws.com", api, "123456789012"),
    ):
        with pytest.raises(ServiceError) as caught:
            await ask(other)
        assert caught.value.code == "AccessDeniedException", other
    with pytest.raises(ServiceError) as caught:
        await invoke(context.host, ARN + "x", b"{}", caller=source, request_id="q", region="us-east-1")
    assert caught.value.code == "ResourceNotFoundException"


async def test_an_alias_shares_out_its_invocations(context: Context) -> None:
    from haar.services.lambda_.directory import Directory
    from haar.services.lambda_.names import parse_name

    await create(context, "f", zip_of(a_py="1"), Publish=True)
    await call(context, "UpdateFunctionConfiguration", FunctionName="f", Timeout=9)
    await call(context, "PublishVersion", FunctionName="f")
    weights = {"AdditionalVersionWeights": {"2": 0.25}}
    await call(context, "CreateAlias", FunctionName="f", Name="live", FunctionVersion="1", RoutingConfig=weights)
    target = await context.host.get(Directory).find(parse_name("f:live", "us-east-1", "123456789012"))
    assert [target.choose(chance / 100).version for chance in range(100)].count("2") == 25
    assert {spec.timeout for _, spec in target.specs} == {3.0, 9.0}
