"""On a host without servers: credentials, remembered decisions, roles of services, trust, root's key."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.identity import ANY, LAMBDA, policy, statement, trust

from haar.auth.principal import Principal
from haar.services.iam import keys, positions, public
from haar.services.iam import service as iam
from haar.services.iam.records import COUNTS, Group
from haar.services.service import Context, Demand, Host
from haar.store.contract import Transaction
from haar.wire.errors import ServiceError

ACCOUNT = "123456789012"
TABLE = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/t"
GET = Demand("dynamodb:GetItem", TABLE)


async def call(host: Host, operation: str, **input: Any) -> Any:
    """An operation as root."""
    root = (await public.ensure_root(host)).principal
    return await iam.operations[operation].handler(Context(host, root, "us-east-1", "id", operation), input)


async def a_user(host: Host, name: str = "ada") -> Principal:
    await call(host, "CreateUser", UserName=name)
    key = (await call(host, "CreateAccessKey", UserName=name))["AccessKey"]
    found = await public.find_credential(host, key["AccessKeyId"], None)
    assert found is not None and found.secret == key["SecretAccessKey"]
    return found.principal


async def test_root_keeps_its_key(host: Host) -> None:
    first = await public.ensure_root(host)
    assert await public.ensure_root(host) == first
    assert await public.find_credential(host, first.access_key_id, None) == first
    assert first.principal.kind == "root" and first.access_key_id.startswith("AKIA") and len(first.secret) == 40
    assert (await public.decide(host, first.principal, GET, {})).allowed


async def test_unknown_keys(host: Host) -> None:
    await public.ensure_root(host)
    assert await public.find_credential(host, "AKIAAAAAAAAAAAAAAAAA", None) is None
    assert await public.find_credential(host, "ASIAAAAAAAAAAAAAAAAA", "made up") is None


async def test_a_key_of_a_session_needs_its_token(host: Host) -> None:
    ada = await a_user(host)
    session = public.issue_session(host, ada, 900)
    found = await public.find_credential(host, session.access_key_id, session.token)
    assert found is not None and found.principal.name == "ada" and found.expires == session.expires
    assert await public.find_credential(host, ada.access_key_id, session.token) is None
    assert await public.find_credential(host, session.access_key_id, None) is None
    other = Host(host.config, host.store, host.clock, host.ids, host.account, b"t" * 32)
    assert await public.find_credential(other, session.access_key_id, session.token) is None, "sealed by another platform"


async def test_decisions_are_remembered_until_something_changes(host: Host) -> None:
    ada = await a_user(host)
    assert public.decide_cached(host, ada, GET.action, GET.resource) is None
    assert not (await public.decide(host, ada, GET, {})).allowed
    denied = public.decide_cached(host, ada, GET.action, GET.resource)
    assert denied is not None and not denied.allowed
    await call(host, "PutUserPolicy", UserName="ada", PolicyName="p", PolicyDocument=policy(statement("dynamodb:*")))
    assert public.decide_cached(host, ada, GET.action, GET.resource) is None, "the moment it is answered"
    assert (await public.decide(host, ada, GET, {})).allowed
    assert public.decide_cached(host, ada, GET.action, GET.resource) is not None
    await call(host, "DeleteUserPolicy", UserName="ada", PolicyName="p")
    assert public.decide_cached(host, ada, GET.action, GET.resource) is None


@pytest.mark.parametrize("operation", ["group", "attached", "version", "boundary", "removed"])
async def test_every_change_is_seen_at_once(host: Host, operation: str) -> None:
    ada = await a_user(host)
    allow = policy(statement("dynamodb:*"))
    await call(host, "CreateGroup", GroupName="g")
    await call(host, "PutGroupPolicy", GroupName="g", PolicyName="p", PolicyDocument=allow)
    arn = (await call(host, "CreatePolicy", PolicyName="m", PolicyDocument=allow))["Policy"]["Arn"]
    if operation == "group":
        assert not (await public.decide(host, ada, GET, {})).allowed
        await call(host, "AddUserToGroup", GroupName="g", UserName="ada")
        assert (await public.decide(host, ada, GET, {})).allowed
        return
    if operation == "attached":
        assert not (await public.decide(host, ada, GET, {})).allowed
        await call(host, "AttachUserPolicy", UserName="ada", PolicyArn=arn)
        assert (await public.decide(host, ada, GET, {})).allowed
        return
    await call(host, "AttachUserPolicy", UserName="ada", PolicyArn=arn)
    assert (await public.decide(host, ada, GET, {})).allowed
    if operation == "version":
        await call(host, "CreatePolicyVersion", PolicyArn=arn, PolicyDocument=ANY, SetAsDefault=True)
    elif operation == "boundary":
        await call(host, "CreatePolicy", PolicyName="b", PolicyDocument=ANY)
        await call(host, "PutUserPermissionsBoundary", UserName="ada", PermissionsBoundary=arn.replace("policy/m", "policy/b"))
    else:
        await call(host, "DetachUserPolicy", UserName="ada", PolicyArn=arn)
    assert not (await public.decide(host, ada, GET, {})).allowed


async def test_what_a_condition_decided_is_not_remembered(host: Host) -> None:
    ada = await a_user(host)
    condition = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    document = policy(statement("dynamodb:*", Condition=condition))
    await call(host, "PutUserPolicy", UserName="ada", PolicyName="p", PolicyDocument=document)
    assert (await public.decide(host, ada, GET, {"aws:SourceIp": ["10.1.2.3"]})).allowed
    assert not (await public.decide(host, ada, GET, {"aws:SourceIp": ["192.168.0.1"]})).allowed
    assert public.decide_cached(host, ada, GET.action, GET.resource) is None


async def test_a_resource_policy_is_asked_every_time(host: Host) -> None:
    ada = await a_user(host)
    opened = json.loads(policy(statement("dynamodb:*")))
    opened["Statement"][0]["Principal"] = {"AWS": ada.arn}
    assert (await public.decide(host, ada, replace(GET, resource_policy=json.dumps(opened)), {})).allowed
    assert not (await public.decide(host, ada, GET, {})).allowed
    service = Principal("service", "", "events.amazonaws.com", "events.amazonaws.com")
    assert not (await public.decide(host, service, GET, {})).allowed


async def test_decisions_under_way_while_policies_change(host: Host) -> None:
    """Whatever the order of things, what is remembered in the end is what holds in the end."""
    ada = await a_user(host)
    allow, deny = policy(statement("dynamodb:*")), policy(statement("dynamodb:*", effect="Deny"))

    async def write() -> None:
        for number in range(21):
            document = allow if number % 2 else deny
            await call(host, "PutUserPolicy", UserName="ada", PolicyName="p", PolicyDocument=document)

    async def read() -> None:
        for _ in range(200):
            await public.decide(host, ada, GET, {})
            await asyncio.sleep(0)

    await asyncio.gather(write(), read(), read())
    assert not (await public.decide(host, ada, GET, {})).allowed


async def test_roles_of_services(host: Host) -> None:
    document = trust({"Service": "lambda.amazonaws.com"})
    arn = (await call(host, "CreateRole", RoleName="runs", Path="/service/", AssumeRolePolicyDocument=document))["Role"]["Arn"]
    assert await public.role_trusts(host, arn, "lambda.amazonaws.com")
    assert not await public.role_trusts(host, arn, "ec2.amazonaws.com")
    assert not await public.role_trusts(host, arn.replace("/service/", "/"), "lambda.amazonaws.com"), "the path is part of the name"
    session = await public.assume_role_for_service(host, arn, "lambda.amazonaws.com", "fn", 900)
    found = await public.find_credential(host, session.access_key_id, session.token)
    assert found is not None
    assert found.principal.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/runs/fn"
    assert found.principal.role_arn == arn
    assert await public.role_principal(host, arn, "fn") == replace(found.principal, access_key_id="", issued=None)
    with pytest.raises(ServiceError) as refused:
        await public.assume_role_for_service(host, arn, "ec2.amazonaws.com", "fn")
    assert refused.value.code == "AccessDenied"
    with pytest.raises(ServiceError) as missing:
        await public.assume_role_for_service(host, arn + "x", "lambda.amazonaws.com", "fn")
    assert missing.value.code == "NoSuchEntity"
    await call(host, "DeleteRole", RoleName="runs")
    assert await public.find_credential(host, session.access_key_id, session.token) is None
    assert await public.role_principal(host, arn, "fn") is None


async def test_a_service_acts_for_somebody(host: Host) -> None:
    """A trust policy may say for whom the service may take the role on: the guard against the confused deputy."""
    condition = {"ArnLike": {"aws:SourceArn": f"arn:aws:lambda:*:{ACCOUNT}:function:mine"}, "StringEquals": {"aws:SourceAccount": ACCOUNT}}
    document = trust({"Service": "lambda.amazonaws.com"}, Condition=condition)
    arn = (await call(host, "CreateRole", RoleName="runs", AssumeRolePolicyDocument=document))["Role"]["Arn"]
    mine, other = (f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}" for name in ("mine", "other"))
    assert await public.role_trusts(host, arn, "lambda.amazonaws.com", source_arn=mine)
    assert not await public.role_trusts(host, arn, "lambda.amazonaws.com", source_arn=other)
    assert not await public.role_trusts(host, arn, "lambda.amazonaws.com")
    assert await public.assume_role_for_service(host, arn, "lambda.amazonaws.com", "mine", source_arn=mine)


async def test_a_namesake_inherits_nothing(host: Host) -> None:
    ada = await a_user(host)
    for operation, more in (("DeleteAccessKey", {"AccessKeyId": ada.access_key_id}), ("DeleteUser", {})):
        await call(host, operation, UserName="ada", **more)
    await a_user(host)
    await call(host, "PutUserPolicy", UserName="ada", PolicyName="p", PolicyDocument=policy(statement("*")))
    assert not (await public.decide(host, ada, GET, {})).allowed


async def test_uses_are_written_in_batches(host: Host) -> None:
    from haar.services.iam.uses import Uses

    ada = await a_user(host)
    for region in ("eu-west-1", "eu-west-2"):
        public.note_use(host, ada, "dynamodb", "dynamodb", region)
    unwritten = (await call(host, "GetAccessKeyLastUsed", AccessKeyId=ada.access_key_id))["AccessKeyLastUsed"]
    assert unwritten == {"ServiceName": "N/A", "Region": "N/A"}
    await host.get(Uses).write()
    written = (await call(host, "GetAccessKeyLastUsed", AccessKeyId=ada.access_key_id))["AccessKeyLastUsed"]
    assert (written["ServiceName"], written["Region"]) == ("dynamodb", "eu-west-2")


async def test_a_roles_last_use_is_its_own(host: Host) -> None:
    from haar.services.iam.uses import Uses

    async def made() -> Principal:
        arn = (await call(host, "CreateRole", RoleName="runs", AssumeRolePolicyDocument=LAMBDA))["Role"]["Arn"]
        session = await public.role_principal(host, arn, "fn")
        assert session is not None
        return session

    session = await made()
    public.note_use(host, session, "logs", "logs", "eu-west-1")
    await host.get(Uses).write()
    assert (await call(host, "GetRole", RoleName="runs"))["Role"]["RoleLastUsed"]["Region"] == "eu-west-1"
    public.note_use(host, session, "logs", "logs", "eu-west-1")
    await call(host, "DeleteRole", RoleName="runs")
    await made()
    await host.get(Uses).write()
    assert (await call(host, "GetRole", RoleName="runs"))["Role"]["RoleLastUsed"] == {}


@given(st.integers(0, 10**12 - 1), st.binary(min_size=8, max_size=8))
def test_a_key_id_carries_its_account(account: int, random: bytes) -> None:
    class Ids:
        def bytes(self, length: int) -> bytes:
            return random

    host: Any = type("AHost", (), {"account": f"{account:012d}", "ids": Ids()})()
    made = keys.key_id(host, "AKIA")
    assert len(made) == 20 and keys.account_of(made) == f"{account:012d}"


@pytest.mark.parametrize("key_id", ["AKIA", "AKIA1111111111111111", "AKIA" + "A" * 100])
def test_what_is_no_key_id(key_id: str) -> None:
    assert keys.account_of(key_id) is None


VALUES = st.recursive(st.text(max_size=8), st.lists, max_leaves=4)
STATEMENTS = st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=3), min_size=1, max_size=4)


@given(STATEMENTS, st.sampled_from([None, 0, 1, 4]), st.booleans())
def test_statements_are_found_in_any_text(statements: list[Any], indent: int | None, last: bool) -> None:
    document = {"Version": "2012-10-17", "Statement": statements} if last else {"Statement": statements, "Id": "}]"}
    text = json.dumps(document, indent=indent)
    spans = positions.statement_spans(text)
    assert [json.loads(text[span.start : span.end]) for span in spans] == statements


def test_a_statement_that_stands_alone() -> None:
    text = '{"Version":"2012-10-17","Statement":{"Effect":"Allow"}}'
    (span,) = positions.statement_spans(text)
    assert positions.position(text, span.start) == {"Line": 1, "Column": 38}
    assert text[: span.end].endswith('"Allow"}')


async def test_an_account_has_room_for_so_many(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Group, "quota", ("GroupsPerAccount", 3))
    await call(host, "CreateGroup", GroupName="counted-later")

    async def uncount(tx: Transaction) -> None:
        tx.delete(COUNTS, Group.space.encode())

    await host.store.transact(uncount)  # as in a store of before there was a count
    for name in ("a", "b"):
        await call(host, "CreateGroup", GroupName=name)
    with pytest.raises(ServiceError) as refused:
        await call(host, "CreateGroup", GroupName="c")
    assert (refused.value.code, refused.value.message) == ("LimitExceeded", "Cannot exceed quota for GroupsPerAccount: 3")
    await call(host, "UpdateGroup", GroupName="a", NewGroupName="d")
    with pytest.raises(ServiceError):
        await call(host, "CreateGroup", GroupName="a")
    await call(host, "DeleteGroup", GroupName="d")
    await call(host, "CreateGroup", GroupName="a")
