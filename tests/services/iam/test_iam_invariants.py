"""Whatever is done in whatever order, what is kept twice says the same twice."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.identity import ANY, LAMBDA

from haar.services.iam import public
from haar.services.iam import service as iam
from haar.services.iam.entities import decode
from haar.services.iam.paging import everything
from haar.services.iam.records import ATTACHMENTS, IDS, KEYS, MEMBERS, AccessKey, Group, Holder, Policy, Role, User
from haar.services.service import Context, Host
from haar.wire.errors import ServiceError

STEPS = 250
NAMES = ("ada", "bob", "Cid")
REFUSALS = {"NoSuchEntity", "EntityAlreadyExists", "DeleteConflict", "LimitExceeded"}


def steps(dice: random.Random, account: str) -> dict[str, Callable[[], dict[str, Any]]]:
    """An operation's input, made up anew each time."""

    def name() -> str:
        return dice.choice((*NAMES, *(one.swapcase() for one in NAMES)))

    def arn() -> str:
        return dice.choice([f"arn:aws:iam::{account}:policy/{dice.choice(NAMES)}", "arn:aws:iam::aws:policy/ReadOnlyAccess"])

    found: dict[str, Callable[[], dict[str, Any]]] = {
        "CreateUser": lambda: {"UserName": name(), **({"PermissionsBoundary": arn()} if dice.random() < 0.3 else {})},
        "CreateGroup": lambda: {"GroupName": name()},
        "CreateRole": lambda: {"RoleName": name(), "AssumeRolePolicyDocument": LAMBDA},
        "CreatePolicy": lambda: {"PolicyName": name(), "PolicyDocument": ANY},
        "DeletePolicy": lambda: {"PolicyArn": arn()},
        "CreateAccessKey": lambda: {"UserName": name()},
        "AddUserToGroup": lambda: {"UserName": name(), "GroupName": name()},
        "RemoveUserFromGroup": lambda: {"UserName": name(), "GroupName": name()},
        "UpdateUser": lambda: {"UserName": name(), "NewUserName": name()},
        "UpdateGroup": lambda: {"GroupName": name(), "NewGroupName": name()},
        "PutUserPermissionsBoundary": lambda: {"UserName": name(), "PermissionsBoundary": arn()},
        "DeleteUserPermissionsBoundary": lambda: {"UserName": name()},
    }
    for title in ("User", "Group", "Role"):
        found |= {
            f"Delete{title}": lambda title=title: {f"{title}Name": name()},
            f"Attach{title}Policy": lambda title=title: {f"{title}Name": name(), "PolicyArn": arn()},
            f"Detach{title}Policy": lambda title=title: {f"{title}Name": name(), "PolicyArn": arn()},
        }
    return found


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_kept_twice_agrees(host: Host, seed: int) -> None:
    dice = random.Random(seed)
    root = (await public.ensure_root(host)).principal
    possible, done = steps(dice, host.account), 0
    for _ in range(STEPS):
        operation = dice.choice(list(possible))
        try:
            input = possible[operation]()
            if operation == "DeletePolicy" and ":aws:policy" in input["PolicyArn"]:
                continue
            await iam.operations[operation].handler(Context(host, root, "us-east-1", "id", operation), input)
            done += 1
        except ServiceError as error:
            assert error.code in REFUSALS, error
    assert done > STEPS / 10
    await agree(host)


async def agree(host: Host) -> None:
    users = [user async for user in everything(host.store, User)]
    groups = [group async for group in everything(host.store, Group)]
    roles = [role async for role in everything(host.store, Role)]
    policies = {policy.arn(host.account) async for policy in everything(host.store, Policy)}
    holders: list[Holder] = [*users, *groups, *roles]
    uses = {(arn, f"{one.noun}/{one.name}/policy") for one in holders for arn in one.attached}
    uses |= {(one.boundary, f"{one.noun}/{one.name}/boundary") for one in holders if one.boundary}
    assert {(row.partition.decode(), row.sort.decode()) for row in await host.store.scan(ATTACHMENTS)} == uses
    assert {arn for arn, _ in uses if ":aws:policy" not in arn} <= policies, "what is used is there"
    members = {(group.lower(), user.name.lower()) for user in users for group in user.groups}
    assert {(row.partition.decode(), row.sort.decode()) for row in await host.store.scan(MEMBERS)} == members
    assert {name for user in users for name in user.groups} <= {group.name for group in groups}
    known = {row.partition.decode(): row.value.decode() for row in await host.store.scan(IDS)}
    assert known == {one.id: f"{one.noun}/{one.name}" for one in [*users, *roles]}
    keys = [decode(row.value, AccessKey) for row in await host.store.scan(KEYS)]
    assert {(key.id, key.user) for key in keys} == {(key, user.name) for user in users for key in user.keys}
