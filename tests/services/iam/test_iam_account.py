"""The account as a whole. One platform is shared by all tests, so what is account-wide is looked at on a platform of its own."""

import csv
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.identity import ANY, LAMBDA, policy, refused, statement


@pytest.fixture
def own(fresh_platform: Callable[..., Any]) -> Any:
    return fresh_platform()


def test_an_account(own: Any) -> None:
    iam = own.client("iam")
    _alias(iam)
    _password_policy(iam)
    _summary_and_details(iam, own.account)
    _credential_report(iam, own.account)
    own.kill()
    own.start()
    again = own.client("iam")
    assert [user["UserName"] for user in again.list_users()["Users"]] == ["ada", "bob"], "kill -9 takes nothing"
    assert again.list_account_aliases()["AccountAliases"] == ["second-alias"]


def _alias(iam: Any) -> None:
    assert iam.list_account_aliases()["AccountAliases"] == []
    iam.create_account_alias(AccountAlias="first-alias")
    iam.create_account_alias(AccountAlias="second-alias")
    assert iam.list_account_aliases()["AccountAliases"] == ["second-alias"]
    assert refused(iam.delete_account_alias, AccountAlias="first-alias")[0] == "NoSuchEntity"


def _password_policy(iam: Any) -> None:
    assert refused(iam.get_account_password_policy)[0] == "NoSuchEntity"
    iam.update_account_password_policy(MinimumPasswordLength=12, RequireSymbols=True, MaxPasswordAge=90)
    shown = iam.get_account_password_policy()["PasswordPolicy"]
    assert (shown["MinimumPasswordLength"], shown["RequireSymbols"], shown["RequireNumbers"], shown["ExpirePasswords"]) == (
        12,
        True,
        False,
        True,
    )
    iam.create_user(UserName="ada")
    said = refused(iam.create_login_profile, UserName="ada", Password="short-one")
    assert said == ("PasswordPolicyViolation", "Password should have a minimum length of 12", 400)
    assert refused(iam.create_login_profile, UserName="ada", Password="longenoughbutplain")[1] == "Password should have at least one symbol"
    iam.create_login_profile(UserName="ada", Password="long enough!")
    iam.delete_account_password_policy()
    assert refused(iam.delete_account_password_policy)[0] == "NoSuchEntity"


def _summary_and_details(iam: Any, account: str) -> None:
    iam.create_user(UserName="bob", Path="/b/", Tags=[{"Key": "a", "Value": "b"}])
    iam.create_group(GroupName="staff")
    iam.add_user_to_group(GroupName="staff", UserName="bob")
    iam.put_group_policy(GroupName="staff", PolicyName="g", PolicyDocument=ANY)
    arn = iam.create_policy(PolicyName="mine", PolicyDocument=ANY)["Policy"]["Arn"]
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy(statement("sqs:*")))
    iam.create_role(RoleName="runs", AssumeRolePolicyDocument=LAMBDA, PermissionsBoundary=arn)
    iam.attach_role_policy(RoleName="runs", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    iam.create_instance_profile(InstanceProfileName="machines")
    iam.add_role_to_instance_profile(InstanceProfileName="machines", RoleName="runs")
    iam.create_virtual_mfa_device(VirtualMFADeviceName="phone")
    summary = iam.get_account_summary()["SummaryMap"]
    wanted = {
        "Users": 2,
        "Groups": 1,
        "Roles": 1,
        "Policies": 1,
        "PolicyVersionsInUse": 2,
        "InstanceProfiles": 1,
        "MFADevices": 1,
        "MFADevicesInUse": 0,
    }
    assert {key: summary[key] for key in wanted} == wanted
    assert (summary["AccessKeysPerUserQuota"], summary["UsersQuota"], summary["AccountAccessKeysPresent"]) == (2, 5000, 1)

    everything = iam.get_account_authorization_details()
    ada, bob = everything["UserDetailList"]
    assert ada["GroupList"] == [] and bob["GroupList"] == ["staff"] and bob["Tags"] == [{"Key": "a", "Value": "b"}]
    assert everything["GroupDetailList"][0]["GroupPolicyList"][0]["PolicyDocument"]["Statement"][0]["Action"] == "s3:*"
    role = everything["RoleDetailList"][0]
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == arn
    assert role["InstanceProfileList"][0]["InstanceProfileName"] == "machines"
    assert role["AttachedManagedPolicies"] == [{"PolicyName": "ReadOnlyAccess", "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}]
    assert role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "lambda.amazonaws.com"}
    mine, read = everything["Policies"]
    assert mine["Arn"] == arn and [one["VersionId"] for one in mine["PolicyVersionList"]] == ["v2", "v1"]
    assert read["Arn"] == "arn:aws:iam::aws:policy/ReadOnlyAccess" and read["AttachmentCount"] == 1
    only = iam.get_account_authorization_details(Filter=["Role"])
    assert len(only["RoleDetailList"]) == 1 and only["UserDetailList"] == [] and only["Policies"] == []
    pages = list(iam.get_paginator("get_account_authorization_details").paginate(PaginationConfig={"PageSize": 1}))
    assert sum(len(page[key]) for page in pages for key in ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")) == 6
    assert account in arn


def _credential_report(iam: Any, account: str) -> None:
    code, _, status = refused(iam.get_credential_report)
    assert (code, status) == ("ReportNotPresent", 410)
    key = iam.create_access_key(UserName="bob")["AccessKey"]["AccessKeyId"]
    assert iam.generate_credential_report()["State"] == "STARTED"
    assert iam.generate_credential_report()["State"] == "COMPLETE"
    report = iam.get_credential_report()
    assert report["ReportFormat"] == "text/csv"
    root, ada, bob = csv.DictReader(report["Content"].decode().splitlines())
    assert (root["user"], root["arn"], root["access_key_1_active"]) == ("<root_account>", f"arn:aws:iam::{account}:root", "true")
    assert (ada["user"], ada["password_enabled"], ada["access_key_1_active"]) == ("ada", "true", "false")
    assert (bob["arn"], bob["password_enabled"], bob["access_key_1_active"]) == (f"arn:aws:iam::{account}:user/b/bob", "false", "true")
    iam.delete_access_key(UserName="bob", AccessKeyId=key)
