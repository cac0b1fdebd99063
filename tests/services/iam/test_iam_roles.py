"""Roles, whom they trust, instance profiles, service-linked roles."""

import json
import re
from typing import Any

import pytest
from tests.support.identity import ANY, LAMBDA, refused, trust


def test_a_roles_life(iam: Any, name: str, platform: Any) -> None:
    made = iam.create_role(
        RoleName=name,
        Path="/r/",
        AssumeRolePolicyDocument=LAMBDA,
        Description="says why",
        MaxSessionDuration=7200,
        Tags=[{"Key": "a", "Value": "b"}],
    )["Role"]
    assert made["Arn"] == f"arn:aws:iam::{platform.account}:role/r/{name}"
    assert re.fullmatch(r"AROA[A-Z2-7]{17}", made["RoleId"])
    assert made["AssumeRolePolicyDocument"] == json.loads(LAMBDA)
    got = iam.get_role(RoleName=name)["Role"]
    assert got == made | {"MaxSessionDuration": 7200, "RoleLastUsed": {}}
    listed = next(role for role in iam.list_roles(PathPrefix="/r/")["Roles"] if role["RoleName"] == name)
    assert "Tags" not in listed and listed["MaxSessionDuration"] == 7200 and listed["Description"] == "says why"
    iam.update_role(RoleName=name, Description="", MaxSessionDuration=3600)
    got = iam.get_role(RoleName=name)["Role"]
    assert (got.get("Description", ""), got["MaxSessionDuration"]) == ("", 3600)
    assert iam.update_role_description(RoleName=name, Description="new")["Role"]["Description"] == "new"
    iam.delete_role(RoleName=name)
    assert refused(iam.get_role, RoleName=name) == ("NoSuchEntity", f"The role with name {name} cannot be found.", 404)


def test_how_long_one_is_signed_in(iam: Any, name: str) -> None:
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=LAMBDA, MaxSigninSessionDuration=7200)
    assert iam.get_role(RoleName=name)["Role"]["MaxSigninSessionDuration"] == 7200
    iam.update_role(RoleName=name, MaxSessionDuration=3600)
    assert iam.get_role(RoleName=name)["Role"]["MaxSigninSessionDuration"] == 7200
    iam.update_role(RoleName=name, ResetMaxSigninSessionDuration=True)
    assert "MaxSigninSessionDuration" not in iam.get_role(RoleName=name)["Role"]


def test_a_name_is_taken(iam: Any, name: str) -> None:
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=LAMBDA)
    said = refused(iam.create_role, RoleName=name, AssumeRolePolicyDocument=LAMBDA)
    assert said == ("EntityAlreadyExists", f"Role with name {name} already exists.", 409)


def test_policies_and_profiles_keep_a_role(iam: Any, name: str) -> None:
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=LAMBDA)
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=ANY)
    assert refused(iam.delete_role, RoleName=name) == ("DeleteConflict", "Cannot delete entity, must delete policies first.", 409)
    iam.delete_role_policy(RoleName=name, PolicyName="p")
    iam.attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
    assert refused(iam.delete_role, RoleName=name)[1] == "Cannot delete entity, must detach all policies first."
    iam.detach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    assert refused(iam.delete_role, RoleName=name)[1] == "Cannot delete entity, must remove roles from instance profile first."
    iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
    iam.delete_role(RoleName=name)


@pytest.mark.parametrize(
    "document, message",
    [
        ("{", "This policy contains invalid Json"),
        (
            trust({"AWS": "arn:aws:iam::ACCOUNT:user/nobody-at-all"}),
            'Invalid principal in policy: "AWS":"arn:aws:iam::ACCOUNT:user/nobody-at-all"',
        ),
        (
            trust({"AWS": "arn:aws:iam::ACCOUNT:role/no/such/role"}),
            'Invalid principal in policy: "AWS":"arn:aws:iam::ACCOUNT:role/no/such/role"',
        ),
        (trust({"AWS": "AIDAAAAAAAAAAAAAAAAAA"}), 'Invalid principal in policy: "AWS":"AIDAAAAAAAAAAAAAAAAAA"'),
        (
            json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}, "Resource": "*"}
                    ],
                }
            ),
            "Has prohibited field Resource",
        ),
    ],
)
def test_trust_policies_that_are_refused(iam: Any, name: str, platform: Any, document: str, message: str) -> None:
    document, message = (text.replace("ACCOUNT", platform.account) for text in (document, message))
    assert refused(iam.create_role, RoleName=name, AssumeRolePolicyDocument=document) == ("MalformedPolicyDocument", message, 400)
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=LAMBDA)
    assert refused(iam.update_assume_role_policy, RoleName=name, PolicyDocument=document) == ("MalformedPolicyDocument", message, 400)
    assert iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"] == json.loads(LAMBDA)


def test_a_trust_policy_has_a_size(iam: Any, name: str) -> None:
    services = [f"{'x' * 40}{number}.amazonaws.com" for number in range(60)]
    said = refused(iam.create_role, RoleName=name, AssumeRolePolicyDocument=trust({"Service": services}))
    assert said == ("LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048", 409)


def test_an_account_number_means_its_root(iam: Any, name: str, platform: Any) -> None:
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust({"AWS": platform.account}))
    shown = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    assert shown["Statement"][0]["Principal"] == {"AWS": f"arn:aws:iam::{platform.account}:root"}


def test_trust_is_in_people_not_in_names(iam: Any, name: str, client: Any) -> None:
    made = iam.create_user(UserName=name)["User"]
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust({"AWS": made["Arn"]}))["Role"]["Arn"]

    def principal() -> Any:
        return iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]

    assert principal() == {"AWS": made["Arn"]}
    iam.delete_user(UserName=name)
    assert principal() == {"AWS": made["UserId"]}
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    assert principal() == {"AWS": made["UserId"]}, "a namesake is somebody else"
    sts = client("sts", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    assert refused(sts.assume_role, RoleArn=arn, RoleSessionName="ss")[0] == "AccessDenied"
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust({"AWS": made["Arn"]}))
    assert sts.assume_role(RoleArn=arn, RoleSessionName="ss")["AssumedRoleUser"]


def test_who_is_renamed_is_trusted_still(iam: Any, user: Any, client: Any) -> None:
    arn = iam.create_role(RoleName=user.name, AssumeRolePolicyDocument=trust({"AWS": [user.arn, user.arn]}))["Role"]["Arn"]
    iam.update_user(UserName=user.name, NewUserName=user.name + "-new")
    shown = iam.get_role(RoleName=user.name)["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]
    assert shown == {"AWS": [user.arn + "-new", user.arn + "-new"]}
    assert client("sts", **user.keys).assume_role(RoleArn=arn, RoleSessionName="ss")["Credentials"]
    iam.create_user(UserName=user.name)
    assert iam.get_role(RoleName=user.name)["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == shown


def test_a_unique_id_names_somebody_too(iam: Any, user: Any) -> None:
    unique = iam.get_user(UserName=user.name)["User"]["UserId"]
    iam.create_role(RoleName=user.name, AssumeRolePolicyDocument=trust({"AWS": unique}))
    shown = iam.get_role(RoleName=user.name)["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]
    assert shown == {"AWS": user.arn}


def test_instance_profiles(iam: Any, name: str) -> None:
    made = iam.create_instance_profile(InstanceProfileName=name, Path="/i/", Tags=[{"Key": "a", "Value": "b"}])["InstanceProfile"]
    assert made["InstanceProfileId"].startswith("AIPA") and made["Roles"] == []
    assert refused(iam.create_instance_profile, InstanceProfileName=name)[1] == f"Instance Profile {name} already exists."
    for role in (name, name + "-2"):
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust({"Service": "ec2.amazonaws.com"}))
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    said = refused(iam.add_role_to_instance_profile, InstanceProfileName=name, RoleName=name + "-2")
    assert said == ("LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1", 409)
    assert [role["RoleName"] for role in iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Roles"]] == [name]
    assert [one["InstanceProfileName"] for one in iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"]] == [name]
    assert name in [one["InstanceProfileName"] for one in iam.list_instance_profiles(PathPrefix="/i/")["InstanceProfiles"]]
    assert refused(iam.delete_instance_profile, InstanceProfileName=name)[0] == "DeleteConflict"
    iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
    assert refused(iam.remove_role_from_instance_profile, InstanceProfileName=name, RoleName=name)[0] == "NoSuchEntity"
    iam.untag_instance_profile(InstanceProfileName=name, TagKeys=["a"])
    assert iam.list_instance_profile_tags(InstanceProfileName=name)["Tags"] == []
    iam.delete_instance_profile(InstanceProfileName=name)
    said = refused(iam.get_instance_profile, InstanceProfileName=name)
    assert said == ("NoSuchEntity", f"Instance Profile {name} cannot be found.", 404)


def test_service_linked_roles(iam: Any, name: str) -> None:
    made = iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com", CustomSuffix=name)["Role"]
    role = f"AWSServiceRoleForAutoScaling_{name}"
    assert made["Path"] == "/aws-service-role/autoscaling.amazonaws.com/" and made["RoleName"] == role
    code, message, _ = refused(iam.put_role_policy, RoleName=role, PolicyName="p", PolicyDocument=ANY)
    assert code == "UnmodifiableEntity" and role in message
    assert refused(iam.delete_role, RoleName=role)[0] == "UnmodifiableEntity"
    assert refused(iam.create_service_linked_role, AWSServiceName="autoscaling.amazonaws.com", CustomSuffix=name)[0] == "InvalidInput"
    assert refused(iam.create_service_linked_role, AWSServiceName="nothing.amazonaws.com")[0] == "InvalidInput"
    task = iam.delete_service_linked_role(RoleName=role)["DeletionTaskId"]
    assert iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"
    assert refused(iam.get_role, RoleName=role)[0] == "NoSuchEntity"
    assert refused(iam.get_service_linked_role_deletion_status, DeletionTaskId=task + "0")[0] == "NoSuchEntity"
