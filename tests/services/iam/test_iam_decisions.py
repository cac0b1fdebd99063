"""Policies at work on real calls: identity, groups, boundaries, conditions, tags, and IAM's own actions."""

import json
from typing import Any

import pytest
from tests.support.identity import LAMBDA, policy, refused, statement


def test_what_is_not_allowed_is_denied(user: Any, client: Any) -> None:
    code, message, status = refused(client("iam", **user.keys).list_users)
    assert (code, status) == ("AccessDenied", 403)
    assert message == (
        f"User: {user.arn} is not authorized to perform: iam:ListUsers on resource: arn:aws:iam::{user.arn.split(':')[4]}:user/ "
        "because no identity-based policy allows the iam:ListUsers action"
    )


def test_a_group_gives_and_takes(iam: Any, user: Any, client: Any) -> None:
    own, group = client("iam", **user.keys), user.name + "-g"
    iam.create_group(GroupName=group)
    iam.put_group_policy(GroupName=group, PolicyName="p", PolicyDocument=policy(statement("iam:ListUsers")))
    assert refused(own.list_users)[0] == "AccessDenied"
    iam.add_user_to_group(GroupName=group, UserName=user.name)
    assert own.list_users(MaxItems=1)["Users"]
    iam.put_group_policy(GroupName=group, PolicyName="q", PolicyDocument=policy(statement("iam:List*", effect="Deny")))
    assert "with an explicit deny in an identity-based policy" in refused(own.list_users)[1]
    iam.delete_group_policy(GroupName=group, PolicyName="q")
    iam.remove_user_from_group(GroupName=group, UserName=user.name)
    assert refused(own.list_users)[0] == "AccessDenied"


def test_a_boundary_limits_and_gives_nothing(iam: Any, user: Any, client: Any) -> None:
    own = client("iam", **user.keys)
    arn = iam.create_policy(PolicyName=user.name, PolicyDocument=policy(statement("iam:ListUsers")))["Policy"]["Arn"]
    iam.put_user_permissions_boundary(UserName=user.name, PermissionsBoundary=arn)
    assert "because no identity-based policy allows" in refused(own.list_users)[1]
    user.may("p", statement("iam:*"))
    assert own.list_users(MaxItems=1)["Users"]
    assert "because no permissions boundary allows the iam:ListRoles action" in refused(own.list_roles)[1]
    assert refused(own.delete_user_permissions_boundary, UserName=user.name)[0] == "AccessDenied"
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy(statement("iam:ListRoles")), SetAsDefault=True)
    assert own.list_roles(MaxItems=1)["Roles"] is not None
    assert refused(own.list_users)[0] == "AccessDenied"


def test_an_administrator_who_must_hand_on_the_boundary(iam: Any, user: Any, client: Any) -> None:
    arn = iam.create_policy(PolicyName=user.name, PolicyDocument=policy(statement("s3:*")))["Policy"]["Arn"]
    user.may(
        "p",
        statement(
            ["iam:CreateUser", "iam:CreateRole", "iam:AttachUserPolicy", "iam:PutUserPolicy"],
            Condition={"StringEquals": {"iam:PermissionsBoundary": arn}},
        ),
    )
    own, made = client("iam", **user.keys), user.name + "-made"
    assert refused(own.create_user, UserName=made)[0] == "AccessDenied"
    own.create_user(UserName=made, PermissionsBoundary=arn)
    own.put_user_policy(UserName=made, PolicyName="p", PolicyDocument=policy(statement("*")))
    assert refused(own.put_user_policy, UserName=user.name, PolicyName="x", PolicyDocument=policy(statement("*")))[0] == "AccessDenied"
    assert refused(own.create_role, RoleName=made, AssumeRolePolicyDocument=LAMBDA)[0] == "AccessDenied"


def test_one_may_attach_only_what_is_named(user: Any, client: Any) -> None:
    read = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    user.may("p", statement("iam:AttachUserPolicy", user.arn, Condition={"ArnEquals": {"iam:PolicyARN": read}}))
    own = client("iam", **user.keys)
    assert refused(own.attach_user_policy, UserName=user.name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")[0] == "AccessDenied"
    own.attach_user_policy(UserName=user.name, PolicyArn=read)
    assert own.list_roles(MaxItems=1) is not None


def test_paths_are_part_of_the_resource(iam: Any, user: Any, client: Any, platform: Any) -> None:
    user.may("p", statement("iam:*User", f"arn:aws:iam::{platform.account}:user/ours/*"))
    own = client("iam", **user.keys)
    own.create_user(UserName=user.name + "-1", Path="/ours/")
    assert refused(own.create_user, UserName=user.name + "-2")[0] == "AccessDenied"
    assert own.get_user(UserName=user.name + "-1")["User"]["Path"] == "/ours/"
    assert refused(own.get_user, UserName=user.name)[0] == "AccessDenied"
    assert refused(own.get_user, UserName=user.name + "-nobody")[0] == "AccessDenied", "who may not ask learns nothing"
    assert refused(own.update_user, UserName=user.name + "-1", NewPath="/theirs/")[0] == "AccessDenied", "not out of reach"
    own.delete_user(UserName=user.name + "-1")


def test_tags_of_request_principal_and_resource(iam: Any, user: Any, client: Any) -> None:
    iam.tag_user(UserName=user.name, Tags=[{"Key": "team", "Value": "red"}])
    user.may(
        "p",
        statement(["iam:CreateUser", "iam:TagUser"], Condition={"StringEquals": {"aws:RequestTag/team": "${aws:PrincipalTag/team}"}}),
        statement(["iam:GetUser", "iam:DeleteUser"], Condition={"StringEquals": {"aws:ResourceTag/team": "red"}}),
        statement("iam:ListUserTags", Condition={"StringEquals": {"iam:ResourceTag/team": "red"}}),
    )
    own, red, blue = client("iam", **user.keys), user.name + "-red", user.name + "-blue"
    assert refused(own.create_user, UserName=blue, Tags=[{"Key": "team", "Value": "blue"}])[0] == "AccessDenied"
    assert refused(own.create_user, UserName=blue)[0] == "AccessDenied"
    own.create_user(UserName=red, Tags=[{"Key": "team", "Value": "red"}])
    iam.create_user(UserName=blue, Tags=[{"Key": "team", "Value": "blue"}])
    assert own.get_user(UserName=red)["User"]["UserName"] == red
    assert own.list_user_tags(UserName=red)["Tags"]
    assert refused(own.get_user, UserName=blue)[0] == "AccessDenied"
    assert refused(own.list_user_tags, UserName=blue)[0] == "AccessDenied"
    assert refused(own.delete_user, UserName=blue)[0] == "AccessDenied"
    own.delete_user(UserName=red)


def test_tagging_at_creation_is_tagging(user: Any, client: Any) -> None:
    user.may("p", statement("iam:CreateUser"))
    own = client("iam", **user.keys)
    said = refused(own.create_user, UserName=user.name + "-1", Tags=[{"Key": "a", "Value": "b"}])
    assert said[0] == "AccessDenied" and "iam:TagUser" in said[1]
    own.create_user(UserName=user.name + "-1")


@pytest.mark.parametrize("keys, allowed", [(["a"], True), (["a", "b"], True), (["a", "c"], False)])
def test_which_tag_keys(user: Any, client: Any, keys: list[str], allowed: bool) -> None:
    user.may("p", statement("iam:TagUser", Condition={"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}))
    own, tags = client("iam", **user.keys), [{"Key": key, "Value": "x"} for key in keys]
    if allowed:
        own.tag_user(UserName=user.name, Tags=tags)
    else:
        assert refused(own.tag_user, UserName=user.name, Tags=tags)[0] == "AccessDenied"


def test_variables_and_principals(user: Any, client: Any, platform: Any) -> None:
    conditions = {
        "StringEquals": {
            "aws:username": user.name,
            "aws:PrincipalAccount": platform.account,
            "aws:PrincipalType": "User",
            "aws:ResourceAccount": platform.account,
        },
        "ArnEquals": {"aws:PrincipalArn": user.arn},
        "StringLike": {"aws:userid": "AIDA*"},
        "Null": {"aws:TokenIssueTime": "true", "aws:MultiFactorAuthPresent": "true"},
        "IpAddress": {"aws:SourceIp": "127.0.0.0/8"},
        "Bool": {"aws:SecureTransport": "false"},
    }
    user.may("p", statement("iam:GetUser", "arn:aws:iam::*:user/${aws:username}", Condition=conditions))
    assert client("iam", **user.keys).get_user()["User"]["Arn"] == user.arn


def test_passing_a_role_to_a_profile(iam: Any, user: Any, client: Any) -> None:
    arn = iam.create_role(RoleName=user.name, AssumeRolePolicyDocument=LAMBDA)["Role"]["Arn"]
    iam.create_instance_profile(InstanceProfileName=user.name)
    user.may("p", statement("iam:AddRoleToInstanceProfile"))
    own = client("iam", **user.keys)
    said = refused(own.add_role_to_instance_profile, InstanceProfileName=user.name, RoleName=user.name)
    assert said[0] == "AccessDenied" and f"iam:PassRole on resource: {arn}" in said[1]
    user.may("q", statement("iam:PassRole", arn, Condition={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}))
    own.add_role_to_instance_profile(InstanceProfileName=user.name, RoleName=user.name)


def test_every_operation_demands_something(iam: Any, user: Any, client: Any) -> None:
    """A user without policies is refused by every operation that is built: nothing was left open."""
    from haar.services.iam import service

    own = client("iam", **user.keys)
    values = {
        "MaxItems": 1,
        "Tags": [{"Key": "a", "Value": "b"}],
        "TagKeys": ["a"],
        "ThumbprintList": ["a" * 40],
        "ActionNames": ["s3:GetObject"],
        "ServiceNamespaces": ["s3"],
        "JobId": "0" * 36,
    }
    arns = {"PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess", "PolicySourceArn": user.arn, "Arn": user.arn}
    for name in service.operations:
        model = own.meta.service_model.operation_model(name)
        required = model.input_shape.required_members if model.input_shape else []
        members = model.input_shape.members if model.input_shape else {}
        given: dict[str, Any] = {}
        for member in required:
            shape = members[member]
            fallback: Any = {"string": "abcdefghijklmnopqrst", "list": ["abc"], "boolean": True, "integer": 3600}.get(shape.type_name)
            given[member] = values.get(member) or arns.get(member) or (shape.enum[0] if getattr(shape, "enum", None) else fallback)
            if member in ("AuthenticationCode1", "AuthenticationCode2"):
                given[member] = "123456"
            if member == "Url":
                given[member] = "https://example.com"
            if member == "VersionId":
                given[member] = "v1"
            if member == "AWSServiceName":
                given[member] = "autoscaling.amazonaws.com"
            if member == "PermissionsBoundary":
                given[member] = arns["PolicyArn"]
        method = next(python for python, api in own.meta.method_to_api_mapping.items() if api == name)
        assert refused(getattr(own, method), **given)[0] == "AccessDenied", (name, json.dumps(given))


def test_iam_is_in_one_region_wherever_it_is_called_from(user: Any, client: Any) -> None:
    user.may("p", statement("iam:*", Condition={"StringEquals": {"aws:RequestedRegion": "us-east-1"}}))
    assert client("iam", region="eu-west-1", **user.keys).list_users(MaxItems=1)["Users"]
