"""Users, their names, their keys and their ends."""

import re
import time
from typing import Any

import pytest
from tests.support.identity import ANY, policy, refused, statement


def test_a_users_life(iam: Any, name: str, platform: Any) -> None:
    made = iam.create_user(UserName=name, Path="/team/", Tags=[{"Key": "a", "Value": "1"}])["User"]
    assert made["Arn"] == f"arn:aws:iam::{platform.account}:user/team/{name}"
    assert re.fullmatch(r"AIDA[A-Z2-7]{17}", made["UserId"])
    assert made["Tags"] == [{"Key": "a", "Value": "1"}]
    assert iam.get_user(UserName=name)["User"] == made
    listed = [user for user in iam.list_users(PathPrefix="/team/")["Users"] if user["UserName"] == name]
    assert listed == [{key: made[key] for key in made if key != "Tags"}]
    iam.delete_user(UserName=name)
    assert refused(iam.get_user, UserName=name) == ("NoSuchEntity", f"The user with name {name} cannot be found.", 404)


def test_a_name_is_taken_whatever_its_case(iam: Any, name: str) -> None:
    iam.create_user(UserName=name)
    said = refused(iam.create_user, UserName=name.upper())
    assert said == ("EntityAlreadyExists", f"User with name {name.upper()} already exists.", 409)


def test_names_and_paths_that_are_none(iam: Any, name: str) -> None:
    rule = "It must contain only alphanumeric characters and/or the following: +=,.@_-"
    said = refused(iam.create_user, UserName="bad name")
    assert said == ("ValidationError", f"The specified value for userName is invalid. {rule}", 400)
    said = refused(iam.create_role, RoleName="b/d", AssumeRolePolicyDocument=ANY)
    assert said == ("ValidationError", f"The specified value for roleName is invalid. {rule}", 400)
    said = refused(iam.create_user, UserName=name, Path="team")
    path = "It must begin and end with / and contain only alphanumeric characters and/or / characters."
    assert said == ("ValidationError", f"The specified value for path is invalid. {path}", 400)
    assert "Member must have length less than or equal to 64" in refused(iam.create_user, UserName="a" * 65)[1]


def test_lists_are_of_a_path(user: Any, client: Any, platform: Any) -> None:
    own, here = client("iam", **user.keys), f"arn:aws:iam::{platform.account}"
    assert f"perform: iam:ListUsers on resource: {here}:user/ because" in refused(own.list_users)[1]
    assert f"perform: iam:ListRoles on resource: {here}:role/a/ because" in refused(own.list_roles, PathPrefix="/a/")[1]
    assert "perform: iam:ListPolicies on resource: policy path / because" in refused(own.list_policies)[1]
    user.may("list", statement("iam:ListUsers", f"{here}:user/team/*"))
    assert own.list_users(PathPrefix="/team/")["Users"] is not None
    assert refused(own.list_users)[0] == "AccessDenied"


@pytest.mark.parametrize(
    "call", ["get_user", "delete_user", "list_user_tags", "create_access_key", "list_groups_for_user", "list_user_policies"]
)
def test_nobody(iam: Any, name: str, call: str) -> None:
    assert refused(getattr(iam, call), UserName=name) == ("NoSuchEntity", f"The user with name {name} cannot be found.", 404)


def test_root_asks_for_itself(iam: Any, platform: Any) -> None:
    user = iam.get_user()["User"]
    assert (user["Arn"], user["UserId"]) == (f"arn:aws:iam::{platform.account}:root", platform.account)
    assert [key["AccessKeyId"] for key in iam.list_access_keys()["AccessKeyMetadata"]] == [platform.described["access_key_id"]]
    assert refused(iam.create_login_profile, Password="abc-DEF-123") == (
        "ValidationError",
        "Must specify userName when calling with non-User credentials",
        400,
    )


def test_a_user_asks_for_itself(user: Any, client: Any) -> None:
    own = client("iam", **user.keys)
    user.may("own", statement(["iam:GetUser", "iam:*AccessKey*"], "arn:aws:iam::*:user/${aws:username}"))
    assert own.get_user()["User"]["UserName"] == user.name
    assert [key["AccessKeyId"] for key in own.list_access_keys()["AccessKeyMetadata"]] == [user.keys["aws_access_key_id"]]
    assert refused(own.get_user, UserName="somebody-else")[0] == "AccessDenied"


@pytest.mark.parametrize(
    "hang, message",
    [
        (
            lambda iam, name: iam.attach_user_policy(UserName=name, PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess"),
            "must detach all policies first.",
        ),
        (lambda iam, name: iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=ANY), "must delete policies first."),
        (lambda iam, name: iam.create_access_key(UserName=name), "must delete access keys first."),
        (lambda iam, name: iam.create_login_profile(UserName=name, Password="abc-DEF-123"), "must delete login profile first."),
        (
            lambda iam, name: (iam.create_group(GroupName=name), iam.add_user_to_group(GroupName=name, UserName=name)),
            "must remove users from group first.",
        ),
    ],
)
def test_what_hangs_on_a_user_keeps_it(iam: Any, name: str, hang: Any, message: str) -> None:
    iam.create_user(UserName=name)
    hang(iam, name)
    assert refused(iam.delete_user, UserName=name) == ("DeleteConflict", f"Cannot delete entity, {message}", 409)
    assert iam.get_user(UserName=name)["User"]["UserName"] == name


def test_a_user_is_renamed_with_everything_it_has(iam: Any, user: Any, client: Any) -> None:
    group = user.name + "-g"
    iam.create_group(GroupName=group)
    iam.add_user_to_group(GroupName=group, UserName=user.name)
    arn = iam.create_policy(PolicyName=user.name, PolicyDocument=policy(statement("iam:ListUsers")))["Policy"]["Arn"]
    iam.attach_user_policy(UserName=user.name, PolicyArn=arn)
    new = user.name + "-new"
    iam.update_user(UserName=user.name, NewUserName=new, NewPath="/moved/")
    assert refused(iam.get_user, UserName=user.name)[0] == "NoSuchEntity"
    assert iam.get_user(UserName=new)["User"]["Arn"].endswith(f":user/moved/{new}")
    assert [one["UserName"] for one in iam.get_group(GroupName=group)["Users"]] == [new]
    assert [one["UserName"] for one in iam.list_entities_for_policy(PolicyArn=arn)["PolicyUsers"]] == [new]
    assert client("sts", **user.keys).get_caller_identity()["Arn"].endswith(f":user/moved/{new}")
    assert client("iam", **user.keys).list_users(MaxItems=1)["Users"]


def test_two_keys_and_no_more(iam: Any, user: Any) -> None:
    second = iam.create_access_key(UserName=user.name)["AccessKey"]
    assert re.fullmatch(r"AKIA[A-Z2-7]{16}", second["AccessKeyId"]) and len(second["SecretAccessKey"]) == 40
    assert second["Status"] == "Active"
    assert refused(iam.create_access_key, UserName=user.name) == ("LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2", 409)
    page = iam.list_access_keys(UserName=user.name, MaxItems=1)
    rest = iam.list_access_keys(UserName=user.name, Marker=page["Marker"])
    assert page["IsTruncated"] and not rest["IsTruncated"]
    ids = [key["AccessKeyId"] for key in page["AccessKeyMetadata"] + rest["AccessKeyMetadata"]]
    assert ids == [user.keys["aws_access_key_id"], second["AccessKeyId"]]
    assert all("SecretAccessKey" not in key for key in page["AccessKeyMetadata"])


def test_an_inactive_key_signs_nothing(iam: Any, user: Any, client: Any) -> None:
    sts, key = client("sts", **user.keys), user.keys["aws_access_key_id"]
    assert sts.get_caller_identity()["Arn"] == user.arn
    iam.update_access_key(UserName=user.name, AccessKeyId=key, Status="Inactive")
    assert refused(sts.get_caller_identity)[0] == "InvalidClientTokenId"
    iam.update_access_key(UserName=user.name, AccessKeyId=key, Status="Active")
    assert sts.get_caller_identity()["Arn"] == user.arn
    iam.delete_access_key(UserName=user.name, AccessKeyId=key)
    assert refused(sts.get_caller_identity)[0] == "InvalidClientTokenId"
    said = refused(iam.delete_access_key, UserName=user.name, AccessKeyId=key)
    assert said == ("NoSuchEntity", f"The Access Key with id {key} cannot be found", 404)


def test_a_key_belongs_to_its_user(iam: Any, user: Any) -> None:
    other = user.name + "-2"
    iam.create_user(UserName=other)
    assert refused(iam.delete_access_key, UserName=other, AccessKeyId=user.keys["aws_access_key_id"])[0] == "NoSuchEntity"


def test_when_a_key_was_last_used(iam: Any, user: Any, client: Any) -> None:
    key = user.keys["aws_access_key_id"]
    never = iam.get_access_key_last_used(AccessKeyId=key)
    assert never["UserName"] == user.name
    assert never["AccessKeyLastUsed"] == {"ServiceName": "N/A", "Region": "N/A"}
    user.may("p", statement("iam:ListUsers"), statement("dynamodb:ListTables"))
    calls = {
        ("iam", "us-east-1"): lambda keys: client("iam", region="eu-west-1", **keys).list_users(MaxItems=1),  # IAM is there alone
        ("dynamodb", "eu-west-1"): lambda keys: client("dynamodb", region="eu-west-1", **keys).list_tables(),
    }
    for wanted, call in calls.items():
        call(user.keys)
        end = time.monotonic() + 60
        while (used := iam.get_access_key_last_used(AccessKeyId=key)["AccessKeyLastUsed"])["ServiceName"] != wanted[0]:
            assert time.monotonic() < end, "use is written within seconds"
            time.sleep(0.3)
        assert used["Region"] == wanted[1] and "LastUsedDate" in used


def test_tags_of_a_user(iam: Any, name: str) -> None:
    iam.create_user(UserName=name)
    iam.tag_user(UserName=name, Tags=[{"Key": "Team", "Value": "a"}, {"Key": "b", "Value": ""}])
    iam.tag_user(UserName=name, Tags=[{"Key": "team", "Value": "c"}])
    assert iam.list_user_tags(UserName=name)["Tags"] == [{"Key": "b", "Value": ""}, {"Key": "team", "Value": "c"}]
    iam.untag_user(UserName=name, TagKeys=["B"])
    assert iam.list_user_tags(UserName=name)["Tags"] == [{"Key": "team", "Value": "c"}]
    twice = [{"Key": "x", "Value": ""}, {"Key": "X", "Value": ""}]
    said = refused(iam.tag_user, UserName=name, Tags=twice)
    assert said == ("InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.", 400)
    iam.tag_user(UserName=name, Tags=[{"Key": f"k{number}", "Value": ""} for number in range(49)])
    said = refused(iam.tag_user, UserName=name, Tags=[{"Key": "one more", "Value": ""}])
    assert said == ("LimitExceeded", "The number of tags has reached the maximum limit.", 409)
    page = iam.list_user_tags(UserName=name, MaxItems=20)
    rest = iam.list_user_tags(UserName=name, Marker=page["Marker"])
    assert len(page["Tags"]) == 20 and len(rest["Tags"]) == 30 and not rest["IsTruncated"]


def test_pages_of_users(iam: Any, name: str) -> None:
    names = [f"{name}-{number}" for number in range(5)]
    for one in reversed(names):
        iam.create_user(UserName=one, Path=f"/{name}/")
    seen: list[str] = []
    for page in iam.get_paginator("list_users").paginate(PathPrefix=f"/{name}/", PaginationConfig={"PageSize": 2}):
        assert len(page["Users"]) <= 2
        seen += [user["UserName"] for user in page["Users"]]
    assert seen == names
    exact = iam.list_users(PathPrefix=f"/{name}/", MaxItems=5)
    assert not exact["IsTruncated"] and "Marker" not in exact
    assert refused(iam.list_users, Marker="not a marker")[0] == "ValidationError"


def test_passwords(iam: Any, user: Any, client: Any) -> None:
    said = refused(iam.get_login_profile, UserName=user.name)
    assert said == ("NoSuchEntity", f"Login Profile for User {user.name} cannot be found.", 404)
    assert refused(iam.create_login_profile, UserName=user.name, Password="short")[0] == "PasswordPolicyViolation"
    made = iam.create_login_profile(UserName=user.name, Password="first-PASS-1", PasswordResetRequired=True)["LoginProfile"]
    assert made["UserName"] == user.name and made["PasswordResetRequired"]
    said = refused(iam.create_login_profile, UserName=user.name, Password="first-PASS-1")
    assert said == ("EntityAlreadyExists", f"Login Profile for user {user.name} already exists.", 409)
    user.may("own", statement("iam:ChangePassword", "arn:aws:iam::*:user/${aws:username}"))
    own = client("iam", **user.keys)
    assert refused(own.change_password, OldPassword="wrong-PASS-1", NewPassword="second-PASS-2")[0] == "AccessDenied"
    own.change_password(OldPassword="first-PASS-1", NewPassword="second-PASS-2")
    own.change_password(OldPassword="second-PASS-2", NewPassword="third-PASS-3")
    assert not iam.get_login_profile(UserName=user.name)["LoginProfile"]["PasswordResetRequired"]
    iam.update_login_profile(UserName=user.name, PasswordResetRequired=True)
    assert iam.get_login_profile(UserName=user.name)["LoginProfile"]["PasswordResetRequired"]
    iam.delete_login_profile(UserName=user.name)
    assert refused(iam.update_login_profile, UserName=user.name, Password="third-PASS-3")[0] == "NoSuchEntity"


def test_constraints_in_awss_words(iam: Any) -> None:
    code, message, status = refused(iam.create_user, UserName="not valid!")
    assert (code, status) == ("ValidationError", 400)
    assert (
        "Value 'not valid!' at 'userName' failed to satisfy constraint" in message
        or "The specified value for userName is invalid" in message
    )
    assert refused(iam.create_user, UserName="zoë")[0] == "ValidationError"
    assert refused(iam.create_user)[0] in ("ValidationError", "MissingParameter")
