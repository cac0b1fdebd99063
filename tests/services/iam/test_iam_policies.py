"""Managed and inline policies, versions, attachments, boundaries."""

import json
from typing import Any

import pytest
from tests.support.identity import ANY, LAMBDA, policy, refused, statement

READ = "arn:aws:iam::aws:policy/ReadOnlyAccess"


@pytest.fixture
def managed(iam: Any, name: str) -> str:
    return str(iam.create_policy(PolicyName=name, PolicyDocument=ANY)["Policy"]["Arn"])


def test_a_policys_life(iam: Any, name: str, platform: Any) -> None:
    made = iam.create_policy(PolicyName=name, Path="/p/", PolicyDocument=ANY, Description="why", Tags=[{"Key": "a", "Value": "b"}])[
        "Policy"
    ]
    assert made["Arn"] == f"arn:aws:iam::{platform.account}:policy/p/{name}" and made["PolicyId"].startswith("ANPA")
    assert (made["DefaultVersionId"], made["AttachmentCount"], made["IsAttachable"]) == ("v1", 0, True)
    got = iam.get_policy(PolicyArn=made["Arn"])["Policy"]
    assert got == made
    said = refused(iam.create_policy, PolicyName=name, PolicyDocument=ANY)
    assert said == ("EntityAlreadyExists", f"A policy called {name} already exists. Duplicate names are not allowed.", 409)
    listed = iam.list_policies(Scope="Local", PathPrefix="/p/")["Policies"]
    assert name in [one["PolicyName"] for one in listed]
    iam.delete_policy(PolicyArn=made["Arn"])
    assert refused(iam.get_policy, PolicyArn=made["Arn"]) == ("NoSuchEntity", f"Policy {made['Arn']} was not found.", 404)
    assert refused(iam.get_policy, PolicyArn="arn:aws:nonsense:::12") == ("InvalidInput", "ARN arn:aws:nonsense:::12 is not valid.", 400)


def test_versions(iam: Any, managed: str) -> None:
    documents = [policy(statement(f"s3:Get{number}")) for number in range(5)]
    for number in range(4):
        made = iam.create_policy_version(PolicyArn=managed, PolicyDocument=documents[number], SetAsDefault=number == 1)["PolicyVersion"]
        assert (made["VersionId"], made["IsDefaultVersion"]) == (f"v{number + 2}", number == 1)
    said = refused(iam.create_policy_version, PolicyArn=managed, PolicyDocument=documents[4])
    assert said[0] == "LimitExceeded" and said[1].startswith("A managed policy can have up to 5 versions.")
    assert iam.get_policy(PolicyArn=managed)["Policy"]["DefaultVersionId"] == "v3"
    assert iam.get_policy_version(PolicyArn=managed, VersionId="v3")["PolicyVersion"]["Document"] == json.loads(documents[1])
    versions = iam.list_policy_versions(PolicyArn=managed)["Versions"]
    assert [version["VersionId"] for version in versions] == ["v5", "v4", "v3", "v2", "v1"]
    said = refused(iam.delete_policy_version, PolicyArn=managed, VersionId="v3")
    assert said == ("DeleteConflict", "Cannot delete the default version of a policy.", 409)
    said = refused(iam.delete_policy, PolicyArn=managed)
    assert said[0] == "DeleteConflict" and said[1].startswith("This policy has more than one version.")
    iam.set_default_policy_version(PolicyArn=managed, VersionId="v1")
    for version in ("v2", "v3", "v4", "v5"):
        iam.delete_policy_version(PolicyArn=managed, VersionId=version)
    said = refused(iam.get_policy_version, PolicyArn=managed, VersionId="v2")
    assert said == ("NoSuchEntity", f"Policy {managed} version v2 does not exist or is not attachable.", 404)
    assert iam.create_policy_version(PolicyArn=managed, PolicyDocument=ANY)["PolicyVersion"]["VersionId"] == "v6", "numbers are used once"


def test_a_default_version_decides_at_once(iam: Any, user: Any, client: Any, managed: str) -> None:
    iam.attach_user_policy(UserName=user.name, PolicyArn=managed)
    own = client("iam", **user.keys)
    assert refused(own.list_users)[0] == "AccessDenied"
    iam.create_policy_version(PolicyArn=managed, PolicyDocument=policy(statement("iam:ListUsers")), SetAsDefault=True)
    assert own.list_users(MaxItems=1)["Users"]
    iam.set_default_policy_version(PolicyArn=managed, VersionId="v1")
    assert refused(own.list_users)[0] == "AccessDenied"


def test_awss_own_policies(iam: Any) -> None:
    got = iam.get_policy(PolicyArn=READ)["Policy"]
    assert got["PolicyName"] == "ReadOnlyAccess" and got["Path"] == "/"
    document = iam.get_policy_version(PolicyArn=READ, VersionId=got["DefaultVersionId"])["PolicyVersion"]["Document"]
    assert document["Statement"]
    arns = [
        one["Arn"]
        for page in iam.get_paginator("list_policies").paginate(Scope="AWS", PaginationConfig={"PageSize": 50})
        for one in page["Policies"]
    ]
    assert READ in arns and len(arns) == len(set(arns)) > 100 and all(arn.startswith("arn:aws:iam::aws:policy/") for arn in arns)
    service_roles = iam.list_policies(Scope="AWS", PathPrefix="/service-role/", MaxItems=1000)["Policies"]
    assert {one["Path"] for one in service_roles} == {"/service-role/"}
    assert refused(iam.delete_policy, PolicyArn=READ)[0] == "AccessDenied"
    assert refused(iam.create_policy_version, PolicyArn=READ, PolicyDocument=ANY)[0] == "AccessDenied"


@pytest.mark.parametrize("kind", ["user", "group", "role"])
def test_attachments(iam: Any, name: str, managed: str, kind: str) -> None:
    holder = {f"{kind.title()}Name": name}
    getattr(iam, f"create_{kind}")(**holder, **({"AssumeRolePolicyDocument": LAMBDA} if kind == "role" else {}))
    attach, detach = getattr(iam, f"attach_{kind}_policy"), getattr(iam, f"detach_{kind}_policy")
    for arn in (managed, READ, managed):
        attach(**holder, PolicyArn=arn)
    attached = getattr(iam, f"list_attached_{kind}_policies")(**holder)["AttachedPolicies"]
    assert attached == [{"PolicyName": name, "PolicyArn": managed}, {"PolicyName": "ReadOnlyAccess", "PolicyArn": READ}]
    assert iam.get_policy(PolicyArn=managed)["Policy"]["AttachmentCount"] == 1
    entities = iam.list_entities_for_policy(PolicyArn=managed)
    assert [one[f"{kind.title()}Name"] for one in entities[f"Policy{kind.title()}s"]] == [name]
    assert sum(len(entities[f"Policy{title}s"]) for title in ("User", "Group", "Role")) == 1
    assert managed in [one["Arn"] for one in iam.list_policies(OnlyAttached=True, Scope="Local", MaxItems=1000)["Policies"]]
    assert refused(iam.delete_policy, PolicyArn=managed) == ("DeleteConflict", "Cannot delete a policy attached to entities.", 409)
    detach(**holder, PolicyArn=managed)
    assert refused(detach, **holder, PolicyArn=managed) == ("NoSuchEntity", f"Policy {managed} was not found.", 404)
    nowhere = managed + "-not-there"
    assert refused(attach, **holder, PolicyArn=nowhere) == ("NoSuchEntity", f"Policy {nowhere} does not exist or is not attachable.", 404)
    assert refused(attach, **holder, PolicyArn="arn:aws:s3:::nonsense") == ("InvalidInput", "ARN arn:aws:s3:::nonsense is not valid.", 400)
    missing = {f"{kind.title()}Name": name + "x"}
    assert refused(attach, **missing, PolicyArn=READ) == ("NoSuchEntity", f"The {kind} with name {name}x cannot be found.", 404)
    iam.delete_policy(PolicyArn=managed)


def test_ten_attachments_and_no_more(iam: Any, name: str) -> None:
    iam.create_user(UserName=name)
    arns = [one["Arn"] for one in iam.list_policies(Scope="AWS", MaxItems=11)["Policies"]]
    for arn in arns[:10]:
        iam.attach_user_policy(UserName=name, PolicyArn=arn)
    said = refused(iam.attach_user_policy, UserName=name, PolicyArn=arns[10])
    assert said == ("LimitExceeded", "Cannot exceed quota for PoliciesPerUser: 10", 409)


@pytest.mark.parametrize("kind, limit", [("user", 2048), ("group", 5120), ("role", 10240)])
def test_inline_policies(iam: Any, name: str, kind: str, limit: int) -> None:
    holder = {f"{kind.title()}Name": name}
    getattr(iam, f"create_{kind}")(**holder, **({"AssumeRolePolicyDocument": LAMBDA} if kind == "role" else {}))
    put, get, delete, names = (
        getattr(iam, call.format(kind)) for call in ("put_{}_policy", "get_{}_policy", "delete_{}_policy", "list_{}_policies")
    )
    spaced = json.dumps(json.loads(ANY), indent=8)
    for one in ("b", "a"):
        put(**holder, PolicyName=one, PolicyDocument=spaced)
    got = get(**holder, PolicyName="a")
    assert got["PolicyDocument"] == json.loads(ANY) and got["PolicyName"] == "a" and got[f"{kind.title()}Name"] == name
    assert names(**holder)["PolicyNames"] == ["a", "b"]
    assert names(**holder, MaxItems=1)["IsTruncated"]
    long = policy(statement([f"s3:{'x' * 100}{number}" for number in range(limit // 100)]))
    said = refused(put, **holder, PolicyName="long", PolicyDocument=long)
    assert said == ("LimitExceeded", f"Maximum policy size of {limit} bytes exceeded for {kind} {name}", 409)
    said = refused(put, **holder, PolicyName="c", PolicyDocument='{"Version":"2012-10-17"')
    assert said == ("MalformedPolicyDocument", "Syntax errors in policy.", 400)
    delete(**holder, PolicyName="a")
    message = f"The {kind} policy with name a cannot be found."
    assert refused(get, **holder, PolicyName="a") == ("NoSuchEntity", message, 404)
    assert refused(delete, **holder, PolicyName="a") == ("NoSuchEntity", message, 404)


def test_white_space_does_not_count(iam: Any, name: str) -> None:
    iam.create_user(UserName=name)
    document = json.dumps(json.loads(policy(*[statement("s3:GetObject", f"arn:aws:s3:::{number}") for number in range(20)])), indent=40)
    assert len(document) > 2048
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)


def test_a_managed_policy_has_a_size(iam: Any, name: str) -> None:
    long = policy(statement([f"s3:{'x' * 100}{number}" for number in range(62)]))
    assert refused(iam.create_policy, PolicyName=name, PolicyDocument=long) == (
        "LimitExceeded",
        "Cannot exceed quota for PolicySize: 6144",
        409,
    )


def test_boundaries(iam: Any, name: str, managed: str) -> None:
    boundary = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": managed}
    assert iam.create_user(UserName=name, PermissionsBoundary=managed)["User"]["PermissionsBoundary"] == boundary
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=LAMBDA)
    iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=managed)
    assert iam.get_role(RoleName=name)["Role"]["PermissionsBoundary"] == boundary
    assert iam.get_policy(PolicyArn=managed)["Policy"]["PermissionsBoundaryUsageCount"] == 2
    assert iam.get_policy(PolicyArn=managed)["Policy"]["AttachmentCount"] == 0
    used = iam.list_entities_for_policy(PolicyArn=managed, PolicyUsageFilter="PermissionsBoundary")
    assert [one["UserName"] for one in used["PolicyUsers"]] == [name] and [one["RoleName"] for one in used["PolicyRoles"]] == [name]
    assert refused(iam.delete_policy, PolicyArn=managed)[0] == "DeleteConflict"
    nowhere = managed + "-not-there"
    said = refused(iam.put_user_permissions_boundary, UserName=name, PermissionsBoundary=nowhere)
    assert said == ("NoSuchEntity", f"Scope ARN: {nowhere} does not exist or is not attachable.", 404)
    iam.delete_user_permissions_boundary(UserName=name)
    assert refused(iam.delete_user_permissions_boundary, UserName=name)[0] == "NoSuchEntity"
    iam.delete_role(RoleName=name)
    assert iam.get_policy(PolicyArn=managed)["Policy"]["PermissionsBoundaryUsageCount"] == 0


def test_tags_of_a_policy(iam: Any, managed: str) -> None:
    iam.tag_policy(PolicyArn=managed, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    iam.untag_policy(PolicyArn=managed, TagKeys=["a"])
    assert iam.list_policy_tags(PolicyArn=managed)["Tags"] == [{"Key": "b", "Value": "2"}]
    assert iam.get_policy(PolicyArn=managed)["Policy"]["Tags"] == [{"Key": "b", "Value": "2"}]


def test_documents_travel_percent_encoded(iam: Any, name: str) -> None:
    """boto3 decodes them; what is on the wire is RFC 3986."""
    seen: list[bytes] = []
    iam.meta.events.register("before-parse.iam.*", lambda response_dict, **_: seen.append(response_dict["body"]))
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy(statement("s3:*", "arn:aws:s3:::a b/~-_.")))
    iam.get_user_policy(UserName=name, PolicyName="p")
    assert b"%22arn%3Aaws%3As3%3A%3A%3Aa%20b%2F~-_.%22" in seen[-1]
