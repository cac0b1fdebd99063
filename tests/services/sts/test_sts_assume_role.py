"""AssumeRole: who may, with what, for how long, and what the session may do."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.identity import policy, refused, statement, trust

LIST = statement("iam:ListUsers")


def keys_of(answer: Any) -> dict[str, str]:
    credentials = answer["Credentials"]
    return {
        "aws_access_key_id": credentials["AccessKeyId"],
        "aws_secret_access_key": credentials["SecretAccessKey"],
        "aws_session_token": credentials["SessionToken"],
    }


@pytest.fixture
def sts(client: Any, user: Any) -> Any:
    return client("sts", **user.keys)


@pytest.fixture
def role(iam: Any, user: Any) -> Any:
    """role(condition=..., statements) -> the ARN of a role that trusts the user and may do what the statements allow."""

    def make(
        *statements: Any, suffix: str = "", maximum: int = 3600, tags: Any = (), action: Any = "sts:AssumeRole", **condition: Any
    ) -> str:
        name = user.name + suffix
        document = trust({"AWS": user.arn}, **({"Condition": condition} if condition else {}), Action=action)
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document, MaxSessionDuration=maximum, Tags=list(tags))
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(*statements))
        return str(made["Role"]["Arn"])

    return make


def test_a_session(client: Any, sts: Any, role: Any, user: Any, iam: Any, platform: Any) -> None:
    arn = role(LIST)
    answer = sts.assume_role(RoleArn=arn, RoleSessionName="work")
    unique = iam.get_role(RoleName=user.name)["Role"]["RoleId"]
    session = f"arn:aws:sts::{platform.account}:assumed-role/{user.name}/work"
    assert answer["AssumedRoleUser"] == {"AssumedRoleId": f"{unique}:work", "Arn": session}
    assert re.fullmatch(r"ASIA[A-Z2-7]{16}", answer["Credentials"]["AccessKeyId"])
    left = (answer["Credentials"]["Expiration"] - datetime.now(UTC)).total_seconds()
    assert 3000 < left <= 3600
    who = client("sts", **keys_of(answer)).get_caller_identity()
    assert (who["UserId"], who["Account"], who["Arn"]) == (f"{unique}:work", platform.account, session)
    own = client("iam", **keys_of(answer))
    assert own.list_users(MaxItems=1)["Users"]
    code, message, status = refused(own.create_user, UserName=user.name + "x")
    assert (code, status) == ("AccessDenied", 403)
    assert message == (
        f"User: {session} is not authorized to perform: iam:CreateUser on resource: arn:aws:iam::{platform.account}:user/{user.name}x "
        "because no identity-based policy allows the iam:CreateUser action"
    )


def test_root_assumes_nothing(client: Any, role: Any) -> None:
    said = refused(client("sts").assume_role, RoleArn=role(), RoleSessionName="ss")
    assert said == ("AccessDenied", "Roles may not be assumed by root accounts.", 403)


def test_who_is_not_trusted(iam: Any, sts: Any, user: Any, platform: Any) -> None:
    """Neither a role that trusts others nor one that is not there; an identity policy alone is not enough."""
    user.may("all", statement("sts:*"))
    other = iam.create_role(RoleName=user.name, AssumeRolePolicyDocument=trust({"Service": "lambda.amazonaws.com"}))["Role"]["Arn"]
    for arn in (other, f"arn:aws:iam::{platform.account}:role/not-there", "arn:aws:iam::999999999999:role/elsewhere"):
        code, message, status = refused(sts.assume_role, RoleArn=arn, RoleSessionName="ss")
        assert (code, status) == ("AccessDenied", 403)
        assert message.startswith(f"User: {user.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}")


def test_an_account_that_is_trusted_hands_it_on(iam: Any, sts: Any, user: Any, platform: Any) -> None:
    arn = iam.create_role(RoleName=user.name, AssumeRolePolicyDocument=trust({"AWS": platform.account}))["Role"]["Arn"]
    assert refused(sts.assume_role, RoleArn=arn, RoleSessionName="ss")[0] == "AccessDenied"
    user.may("assume", statement("sts:AssumeRole", arn))
    assert sts.assume_role(RoleArn=arn, RoleSessionName="ss")["AssumedRoleUser"]
    user.may("not", statement("sts:AssumeRole", arn, effect="Deny"))
    assert "with an explicit deny in an identity-based policy" in refused(sts.assume_role, RoleArn=arn, RoleSessionName="ss")[1]


def test_an_external_id(sts: Any, role: Any) -> None:
    arn = role(StringEquals={"sts:ExternalId": "secret-7"})
    assert refused(sts.assume_role, RoleArn=arn, RoleSessionName="ss")[0] == "AccessDenied"
    assert refused(sts.assume_role, RoleArn=arn, RoleSessionName="ss", ExternalId="secret-8")[0] == "AccessDenied"
    assert sts.assume_role(RoleArn=arn, RoleSessionName="ss", ExternalId="secret-7")["Credentials"]


def test_a_session_name_as_condition(sts: Any, role: Any) -> None:
    arn = role(StringLike={"sts:RoleSessionName": "ci-*"})
    assert refused(sts.assume_role, RoleArn=arn, RoleSessionName="me")[0] == "AccessDenied"
    assert sts.assume_role(RoleArn=arn, RoleSessionName="ci-7")["Credentials"]
    assert refused(sts.assume_role, RoleArn=arn, RoleSessionName="not valid")[0] == "ValidationError"


def test_how_long(sts: Any, role: Any, client: Any, user: Any) -> None:
    arn = role(statement("sts:AssumeRole"), maximum=7200)
    assert sts.assume_role(RoleArn=arn, RoleSessionName="ss", DurationSeconds=7200)
    said = refused(sts.assume_role, RoleArn=arn, RoleSessionName="ss", DurationSeconds=7201)
    assert said == ("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.", 400)
    assert refused(sts.assume_role, RoleArn=arn, RoleSessionName="ss", DurationSeconds=899)[0] == "ValidationError"
    session = client("sts", **keys_of(client("sts", **user.keys).get_session_token()))
    said = refused(session.assume_role, RoleArn=arn, RoleSessionName="ss", DurationSeconds=3601)
    assert said[1] == "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."


def test_session_policies_narrow(sts: Any, role: Any, client: Any) -> None:
    arn = role(statement("iam:*"))
    narrowed = sts.assume_role(RoleArn=arn, RoleSessionName="ss", Policy=policy(LIST))
    assert 0 < narrowed["PackedPolicySize"] <= 100
    own = client("iam", **keys_of(narrowed))
    assert own.list_users(MaxItems=1)["Users"]
    assert "because no session policy allows the iam:ListRoles action" in refused(own.list_roles)[1]
    beyond = client("iam", **keys_of(sts.assume_role(RoleArn=role(LIST, suffix="-2"), RoleSessionName="ss", Policy=policy(statement("*")))))
    assert "because no identity-based policy allows" in refused(beyond.list_roles)[1], "a session policy gives nothing"


def test_managed_session_policies(iam: Any, sts: Any, role: Any, client: Any, user: Any) -> None:
    arn = role(statement("iam:*"))
    managed = iam.create_policy(PolicyName=user.name, PolicyDocument=policy(statement("iam:ListGroups")))["Policy"]["Arn"]
    own = client("iam", **keys_of(sts.assume_role(RoleArn=arn, RoleSessionName="ss", Policy=policy(LIST), PolicyArns=[{"arn": managed}])))
    own.list_groups(MaxItems=1)
    own.list_users(MaxItems=1)
    assert refused(own.list_roles)[0] == "AccessDenied"
    assert refused(sts.assume_role, RoleArn=arn, RoleSessionName="ss", PolicyArns=[{"arn": managed + "x"}])[0] == "MalformedPolicyDocument"


def test_session_policies_that_are_refused(sts: Any, role: Any) -> None:
    arn = role()
    assert refused(sts.assume_role, RoleArn=arn, RoleSessionName="ss", Policy="{")[0] == "MalformedPolicyDocument"
    code, message, _ = refused(sts.assume_role, RoleArn=arn, RoleSessionName="ss", Policy=policy(LIST) + " " * 2048)
    assert code == "ValidationError" and "Member must have length less than or equal to 2048" in message


def test_session_tags(sts: Any, role: Any, client: Any) -> None:
    both = ["sts:AssumeRole", "sts:TagSession"]
    allowed = statement("iam:ListUsers", Condition={"StringEquals": {"aws:PrincipalTag/team": "red"}})
    arn = role(allowed, tags=[{"Key": "team", "Value": "blue"}], action=both)
    plain = client("iam", **keys_of(sts.assume_role(RoleArn=arn, RoleSessionName="ss")))
    assert refused(plain.list_users)[0] == "AccessDenied", "the role's own tag is blue"
    tagged = sts.assume_role(RoleArn=arn, RoleSessionName="ss", Tags=[{"Key": "team", "Value": "red"}])
    assert client("iam", **keys_of(tagged)).list_users(MaxItems=1)["Users"]
    untaggable = role(allowed, suffix="-2")
    said = refused(sts.assume_role, RoleArn=untaggable, RoleSessionName="ss", Tags=[{"Key": "team", "Value": "red"}])
    assert said[0] == "AccessDenied" and "sts:TagSession" in said[1]
    twice = [{"Key": "a", "Value": ""}, {"Key": "A", "Value": ""}]
    assert refused(sts.assume_role, RoleArn=arn, RoleSessionName="ss", Tags=twice)[0] == "InvalidParameterValue"


def test_chains(iam: Any, sts: Any, role: Any, client: Any, user: Any) -> None:
    """Transitive tags and the source identity go on through a chain; other tags do not."""
    three = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
    first = role(statement(three), action=three)
    second = user.name + "-end"
    end = iam.create_role(RoleName=second, AssumeRolePolicyDocument=trust({"AWS": first}, Action=three))["Role"]["Arn"]
    seen = statement(
        "iam:ListUsers",
        Condition={
            "StringEquals": {"aws:PrincipalTag/kept": "yes", "aws:SourceIdentity": "alice"},
            "Null": {"aws:PrincipalTag/lost": "true"},
        },
    )
    iam.put_role_policy(RoleName=second, PolicyName="p", PolicyDocument=policy(seen))
    tags = [{"Key": "kept", "Value": "yes"}, {"Key": "lost", "Value": "yes"}]
    one = sts.assume_role(RoleArn=first, RoleSessionName="ss", Tags=tags, TransitiveTagKeys=["kept"], SourceIdentity="alice")
    assert one["SourceIdentity"] == "alice"
    inner = client("sts", **keys_of(one))
    two = inner.assume_role(RoleArn=end, RoleSessionName="tt")
    assert two["SourceIdentity"] == "alice"
    assert client("iam", **keys_of(two)).list_users(MaxItems=1)["Users"]
    assert refused(inner.assume_role, RoleArn=end, RoleSessionName="tt", SourceIdentity="mallory")[0] == "AccessDenied"
    assert (
        refused(inner.assume_role, RoleArn=end, RoleSessionName="tt", Tags=[{"Key": "Kept", "Value": "no"}])[0] == "InvalidParameterValue"
    )
    assert refused(sts.assume_role, RoleArn=first, RoleSessionName="ss", TransitiveTagKeys=["absent"])[0] == "InvalidParameterValue"


def test_sessions_end_with_their_role(iam: Any, sts: Any, role: Any, client: Any, user: Any) -> None:
    answer = sts.assume_role(RoleArn=role(), RoleSessionName="ss")
    session = client("sts", **keys_of(answer))
    assert session.get_caller_identity()
    iam.delete_role(RoleName=user.name)
    assert refused(session.get_caller_identity) == ("InvalidClientTokenId", "The security token included in the request is invalid.", 403)
    role()
    assert refused(session.get_caller_identity)[0] == "InvalidClientTokenId", "a namesake is another role"


def test_a_token_belongs_to_its_key(sts: Any, role: Any, client: Any) -> None:
    arn = role()
    one, two = (keys_of(sts.assume_role(RoleArn=arn, RoleSessionName="ss")) for _ in range(2))
    assert (
        refused(client("sts", **(one | {"aws_session_token": two["aws_session_token"]})).get_caller_identity)[0] == "InvalidClientTokenId"
    )
    changed = one["aws_session_token"][:-4] + ("AAAA" if not one["aws_session_token"].endswith("AAAA") else "BBBB")
    assert refused(client("sts", **(one | {"aws_session_token": changed})).get_caller_identity)[0] == "InvalidClientTokenId"
    bare = {key: one[key] for key in one if key != "aws_session_token"}
    assert refused(client("sts", **bare).get_caller_identity)[0] == "InvalidClientTokenId"


def test_a_permission_taken_from_a_role_is_taken_from_its_sessions(iam: Any, sts: Any, role: Any, client: Any, user: Any) -> None:
    own = client("iam", **keys_of(sts.assume_role(RoleArn=role(LIST), RoleSessionName="ss")))
    assert own.list_users(MaxItems=1)["Users"]
    iam.delete_role_policy(RoleName=user.name, PolicyName="p")
    assert refused(own.list_users)[0] == "AccessDenied"


def test_what_is_no_role_and_what_is_not_built(sts: Any, role: Any, user: Any) -> None:
    said = refused(sts.assume_role, RoleArn="not-the-arn-of-any-role", RoleSessionName="ss")
    assert said == ("ValidationError", "not-the-arn-of-any-role is invalid", 400)
    code, message, _ = refused(sts.assume_role, RoleArn=role(), RoleSessionName="ss", MinimumSessionTokenSize=2048)
    assert code == "ValidationError" and "MinimumSessionTokenSize" in message
