"""GetCallerIdentity, GetSessionToken, GetFederationToken, GetAccessKeyInfo, and MFA."""

import base64
import hashlib
import hmac
import time
from typing import Any

import pytest
from tests.support.identity import policy, refused, statement, trust


def keys_of(answer: Any) -> dict[str, str]:
    credentials = answer["Credentials"]
    return {
        "aws_access_key_id": credentials["AccessKeyId"],
        "aws_secret_access_key": credentials["SecretAccessKey"],
        "aws_session_token": credentials["SessionToken"],
    }


def one_time_password(seed: bytes, step: int) -> str:
    """RFC 6238."""
    digest = hmac.new(base64.b32decode(seed), step.to_bytes(8, "big"), hashlib.sha1).digest()
    start = digest[-1] & 15
    return str((int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF) % 1_000_000).zfill(6)


def test_everyone_may_ask_who_it_is(client: Any, user: Any, platform: Any) -> None:
    root = client("sts").get_caller_identity()
    assert (root["UserId"], root["Arn"]) == (platform.account, f"arn:aws:iam::{platform.account}:root")
    user.may("nothing", statement("*", effect="Deny"))
    assert client("sts", **user.keys).get_caller_identity()["Arn"] == user.arn


def test_an_access_key_tells_its_account(client: Any, user: Any, platform: Any) -> None:
    sts = client("sts")
    assert sts.get_access_key_info(AccessKeyId=user.keys["aws_access_key_id"])["Account"] == platform.account
    assert sts.get_access_key_info(AccessKeyId=keys_of(sts.get_session_token())["aws_access_key_id"])["Account"] == platform.account
    assert refused(client("sts", **user.keys).get_access_key_info, AccessKeyId=user.keys["aws_access_key_id"])[0] == "AccessDenied"


def test_a_session_of_a_users_own(client: Any, user: Any, iam: Any) -> None:
    user.may("p", statement("dynamodb:ListTables"), statement("sts:*"), statement("iam:*"))
    answer = client("sts", **user.keys).get_session_token(DurationSeconds=900)
    session = keys_of(answer)
    sts = client("sts", **session)
    assert sts.get_caller_identity()["Arn"] == user.arn
    assert "TableNames" in client("dynamodb", **session).list_tables()
    assert refused(client("iam", **session).list_users) == (
        "InvalidClientTokenId",
        "The security token included in the request is invalid.",
        403,
    )
    assert refused(sts.get_session_token) == ("AccessDenied", "Cannot call GetSessionToken with session credentials", 403)
    assert refused(sts.get_federation_token, Name="some") == (
        "AccessDenied",
        "Cannot call GetFederationToken with session credentials",
        403,
    )
    arn = iam.create_role(RoleName=user.name, AssumeRolePolicyDocument=trust({"AWS": user.arn}))["Role"]["Arn"]
    assert sts.assume_role(RoleArn=arn, RoleSessionName="ss")["Credentials"]
    user.may("p", statement("sts:*"))
    assert refused(client("dynamodb", **session).list_tables)[0] == "AccessDeniedException", "the user's policies are the session's"
    iam.delete_access_key(UserName=user.name, AccessKeyId=user.keys["aws_access_key_id"])
    assert sts.get_caller_identity()["Arn"] == user.arn, "a session outlives the key that opened it"
    iam.delete_user_policy(UserName=user.name, PolicyName="p")
    iam.delete_user(UserName=user.name)
    assert refused(sts.get_caller_identity)[0] == "InvalidClientTokenId"


def test_a_session_follows_its_user_to_a_new_name(client: Any, user: Any, iam: Any) -> None:
    user.may("p", statement("dynamodb:ListTables", Condition={"StringEquals": {"aws:username": user.name + "-new"}}))
    session = keys_of(client("sts", **user.keys).get_session_token())
    assert refused(client("dynamodb", **session).list_tables)[0] == "AccessDeniedException"
    iam.update_user(UserName=user.name, NewUserName=user.name + "-new")
    assert client("sts", **session).get_caller_identity()["Arn"] == user.arn + "-new"
    assert "TableNames" in client("dynamodb", **session).list_tables()


def test_federated_users(client: Any, user: Any, platform: Any) -> None:
    user.may("p", statement("dynamodb:*"), statement("sts:GetFederationToken", f"arn:aws:sts::{platform.account}:federated-user/guest-*"))
    sts = client("sts", **user.keys)
    assert refused(sts.get_federation_token, Name="other")[0] == "AccessDenied"
    answer = sts.get_federation_token(Name="guest-1", Policy=policy(statement("dynamodb:ListTables"), statement("logs:*")))
    arn = f"arn:aws:sts::{platform.account}:federated-user/guest-1"
    assert answer["FederatedUser"] == {"FederatedUserId": f"{platform.account}:guest-1", "Arn": arn}
    session = keys_of(answer)
    assert client("sts", **session).get_caller_identity()["Arn"] == arn
    assert "TableNames" in client("dynamodb", **session).list_tables()
    assert "because no session policy allows" in refused(client("dynamodb", **session).describe_limits)[1]
    assert "because no identity-based policy allows" in refused(client("logs", **session).describe_log_groups)[1]
    nothing = keys_of(sts.get_federation_token(Name="guest-2"))
    assert refused(client("dynamodb", **nothing).list_tables)[0] == "AccessDeniedException", "without session policies there is nothing"


def test_roots_sessions(client: Any, platform: Any) -> None:
    answer = client("sts").get_session_token(DurationSeconds=129600)
    assert (answer["Credentials"]["Expiration"].timestamp() - time.time()) <= 3600
    assert client("sts", **keys_of(answer)).get_caller_identity()["Arn"] == f"arn:aws:iam::{platform.account}:root"
    guest = keys_of(client("sts").get_federation_token(Name="guest", Policy=policy(statement("dynamodb:ListTables"))))
    assert "TableNames" in client("dynamodb", **guest).list_tables()
    assert refused(client("dynamodb", **guest).describe_limits)[0] == "AccessDeniedException"


@pytest.fixture
def device(iam: Any, user: Any) -> Any:
    """An enabled virtual device of the user: (serial number, seed, the time step of its last code)."""
    made = iam.create_virtual_mfa_device(VirtualMFADeviceName=user.name)["VirtualMFADevice"]
    step = int(time.time()) // 30 - 1
    codes = [one_time_password(made["Base32StringSeed"], step + number) for number in range(2)]
    iam.enable_mfa_device(UserName=user.name, SerialNumber=made["SerialNumber"], AuthenticationCode1=codes[0], AuthenticationCode2=codes[1])
    return made["SerialNumber"], made["Base32StringSeed"], step + 1


def fresh_code(seed: bytes, last: int) -> str:
    """A code that was not used yet: of the step behind the last one, which is accepted early."""
    return one_time_password(seed, max(last + 1, int(time.time()) // 30))


def test_a_device_and_its_sessions(client: Any, iam: Any, user: Any, device: Any) -> None:
    serial, seed, last = device
    assert [one["SerialNumber"] for one in iam.list_mfa_devices(UserName=user.name)["MFADevices"]] == [serial]
    sts = client("sts", **user.keys)
    user.may("p", statement("iam:ListUsers", Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}}))
    failed = ("AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code. ", 403)
    assert refused(client("iam", **user.keys).list_users)[0] == "AccessDenied"
    code = fresh_code(seed, last)
    wrong = str((int(code) + 1) % 1_000_000).zfill(6)
    assert refused(sts.get_session_token, SerialNumber=serial, TokenCode=wrong) == failed
    session = keys_of(sts.get_session_token(SerialNumber=serial, TokenCode=code))
    assert client("iam", **session).list_users(MaxItems=1)["Users"]
    assert refused(sts.get_session_token, SerialNumber=serial, TokenCode=code) == failed, "a code is taken once"


def test_a_role_that_asks_for_a_device(client: Any, iam: Any, user: Any, device: Any) -> None:
    serial, seed, last = device
    document = trust({"AWS": user.arn}, Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}})
    arn = iam.create_role(RoleName=user.name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    sts = client("sts", **user.keys)
    assert refused(sts.assume_role, RoleArn=arn, RoleSessionName="ss")[0] == "AccessDenied"
    code = fresh_code(seed, last)
    assert sts.assume_role(RoleArn=arn, RoleSessionName="ss", SerialNumber=serial, TokenCode=code)["Credentials"]


def test_a_devices_life(iam: Any, user: Any) -> None:
    made = iam.create_virtual_mfa_device(VirtualMFADeviceName=user.name, Path="/m/", Tags=[{"Key": "a", "Value": "b"}])["VirtualMFADevice"]
    serial = made["SerialNumber"]
    assert serial.endswith(f":mfa/m/{user.name}")
    assert refused(iam.create_virtual_mfa_device, VirtualMFADeviceName=user.name)[0] == "EntityAlreadyExists"
    said = refused(
        iam.enable_mfa_device, UserName=user.name, SerialNumber=serial, AuthenticationCode1="000000", AuthenticationCode2="000000"
    )
    assert said == ("InvalidAuthenticationCode", "Authentication code for device is not valid.", 403)
    step = int(time.time()) // 30 - 1
    codes = {f"AuthenticationCode{number + 1}": one_time_password(made["Base32StringSeed"], step + number) for number in range(2)}
    iam.enable_mfa_device(UserName=user.name, SerialNumber=serial, **codes)
    assigned = iam.list_virtual_mfa_devices(AssignmentStatus="Assigned")["VirtualMFADevices"]
    assert user.name in [one["User"]["UserName"] for one in assigned]
    assert refused(iam.delete_virtual_mfa_device, SerialNumber=serial)[0] == "DeleteConflict"
    iam.delete_access_key(UserName=user.name, AccessKeyId=user.keys["aws_access_key_id"])
    assert refused(iam.delete_user, UserName=user.name)[1] == "Cannot delete entity, must delete MFA device first."
    iam.deactivate_mfa_device(UserName=user.name, SerialNumber=serial)
    assert refused(iam.deactivate_mfa_device, UserName=user.name, SerialNumber=serial)[0] == "NoSuchEntity"
    iam.tag_mfa_device(SerialNumber=serial, Tags=[{"Key": "c", "Value": "d"}])
    iam.untag_mfa_device(SerialNumber=serial, TagKeys=["a"])
    assert iam.list_mfa_device_tags(SerialNumber=serial)["Tags"] == [{"Key": "c", "Value": "d"}]
    iam.delete_virtual_mfa_device(SerialNumber=serial)
    assert refused(iam.delete_virtual_mfa_device, SerialNumber=serial)[0] == "NoSuchEntity"
