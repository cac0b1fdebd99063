"""The policy simulator answers as the engine decides."""

import json
from typing import Any

from tests.support.identity import ANY, LAMBDA, policy, refused, statement

BUCKET = "arn:aws:s3:::bucket/key"


def outcomes(answer: Any) -> list[tuple[str, str, str]]:
    return [(one["EvalActionName"], one["EvalResourceName"], one["EvalDecision"]) for one in answer["EvaluationResults"]]


def test_custom_policies(iam: Any) -> None:
    documents = [policy(statement("s3:Get*")), policy(statement("s3:GetObject", "arn:aws:s3:::secret/*", effect="Deny"))]
    answer = iam.simulate_custom_policy(
        PolicyInputList=documents, ActionNames=["s3:GetObject", "s3:PutObject"], ResourceArns=[BUCKET, "arn:aws:s3:::secret/x"]
    )
    assert outcomes(answer) == [
        ("s3:GetObject", BUCKET, "allowed"),
        ("s3:GetObject", "arn:aws:s3:::secret/x", "explicitDeny"),
        ("s3:PutObject", BUCKET, "implicitDeny"),
        ("s3:PutObject", "arn:aws:s3:::secret/x", "implicitDeny"),
    ]
    allowed, denied, nothing, _ = answer["EvaluationResults"]
    assert [one["SourcePolicyId"] for one in allowed["MatchedStatements"]] == ["PolicyInputList.1"]
    assert "PolicyInputList.2" in [one["SourcePolicyId"] for one in denied["MatchedStatements"]]
    assert nothing["MatchedStatements"] == []
    assert denied["ResourceSpecificResults"][0]["EvalResourceDecision"] == "explicitDeny"
    assert outcomes(iam.simulate_custom_policy(PolicyInputList=documents, ActionNames=["s3:GetObject"])) == [
        ("s3:GetObject", "*", "allowed")
    ]


def test_where_a_statement_stands(iam: Any) -> None:
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement("s3:Put*"), statement("s3:Get*")]}, indent=4)
    answer = iam.simulate_custom_policy(PolicyInputList=[document], ActionNames=["s3:GetObject"])
    matched = answer["EvaluationResults"][0]["MatchedStatements"][0]
    assert matched["StartPosition"] == {"Line": 8, "Column": 11} and matched["EndPosition"] == {"Line": 13, "Column": 10}


def test_context_decides_and_is_missed(iam: Any) -> None:
    document = policy(
        statement("s3:GetObject", Condition={"StringEquals": {"aws:PrincipalTag/team": "red"}, "Bool": {"aws:SecureTransport": "true"}})
    )
    bare = iam.simulate_custom_policy(PolicyInputList=[document], ActionNames=["s3:GetObject"])["EvaluationResults"][0]
    assert bare["EvalDecision"] == "implicitDeny"
    assert bare["MissingContextValues"] == ["aws:PrincipalTag/team", "aws:SecureTransport"]
    entries = [
        {"ContextKeyName": "aws:principaltag/team", "ContextKeyValues": ["red"], "ContextKeyType": "string"},
        {"ContextKeyName": "aws:SecureTransport", "ContextKeyValues": ["true"], "ContextKeyType": "boolean"},
    ]
    full = iam.simulate_custom_policy(PolicyInputList=[document], ActionNames=["s3:GetObject"], ContextEntries=entries)[
        "EvaluationResults"
    ][0]
    assert (full["EvalDecision"], full["MissingContextValues"]) == ("allowed", [])


def test_boundaries_and_resource_policies(iam: Any, platform: Any) -> None:
    given = {"PolicyInputList": [policy(statement("s3:*"))], "ActionNames": ["s3:GetObject"], "ResourceArns": [BUCKET]}
    inside = iam.simulate_custom_policy(**given, PermissionsBoundaryPolicyInputList=[policy(statement("s3:Get*"))])["EvaluationResults"][0]
    assert inside["EvalDecision"] == "allowed" and inside["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": True}
    outside = iam.simulate_custom_policy(**given, PermissionsBoundaryPolicyInputList=[policy(statement("ec2:*"))])["EvaluationResults"][0]
    assert outside["EvalDecision"] == "implicitDeny"
    assert outside["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}
    closed = policy({"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"})
    denied = iam.simulate_custom_policy(**given, ResourcePolicy=closed)["EvaluationResults"][0]
    assert denied["EvalDecision"] == "explicitDeny" and denied["MatchedStatements"][0]["SourcePolicyId"] == "ResourcePolicy"


def test_a_principals_own_policies(iam: Any, user: Any) -> None:
    group = user.name + "-g"
    iam.create_group(GroupName=group)
    iam.put_group_policy(GroupName=group, PolicyName="p", PolicyDocument=policy(statement("sqs:SendMessage")))
    iam.add_user_to_group(GroupName=group, UserName=user.name)
    user.may("own", statement("s3:GetObject", "arn:aws:s3:::home/${aws:username}/*"))
    iam.attach_user_policy(UserName=user.name, PolicyArn="arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess")

    def simulate(action: str, resource: str = "*", source: str = user.arn, **more: Any) -> tuple[str, list[str]]:
        answer = iam.simulate_principal_policy(PolicySourceArn=source, ActionNames=[action], ResourceArns=[resource], **more)
        result = answer["EvaluationResults"][0]
        return result["EvalDecision"], [one["SourcePolicyId"] for one in result["MatchedStatements"]]

    assert simulate("s3:GetObject", f"arn:aws:s3:::home/{user.name}/x") == ("allowed", [f"user_{user.name}_own"])
    assert simulate("s3:GetObject", "arn:aws:s3:::home/other/x") == ("implicitDeny", [])
    assert simulate("sqs:SendMessage") == ("allowed", [f"group_{group}_p"])
    assert simulate("dynamodb:GetItem") == ("allowed", ["AmazonDynamoDBReadOnlyAccess"])
    assert simulate("dynamodb:PutItem")[0] == "implicitDeny"
    assert simulate("dynamodb:PutItem", PolicyInputList=[policy(statement("dynamodb:*"))]) == ("allowed", ["PolicyInputList.1"])
    group_arn = iam.get_group(GroupName=group)["Group"]["Arn"]
    assert simulate("sqs:SendMessage", source=group_arn)[0] == "allowed"
    assert simulate("dynamodb:GetItem", source=group_arn)[0] == "implicitDeny"


def test_a_roles_policies_and_boundary(iam: Any, name: str) -> None:
    limit = iam.create_policy(PolicyName=name, PolicyDocument=policy(statement("s3:GetObject")))["Policy"]["Arn"]
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=LAMBDA, PermissionsBoundary=limit)["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(statement("s3:*")))
    answer = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=["s3:GetObject", "s3:PutObject"])
    assert [one[2] for one in outcomes(answer)] == ["allowed", "implicitDeny"]


def test_pages_and_mistakes(iam: Any, user: Any, platform: Any) -> None:
    actions = [f"s3:Get{number}" for number in range(5)]
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=user.arn, ActionNames=actions, PaginationConfig={"PageSize": 2}
    )
    assert [one["EvalActionName"] for page in pages for one in page["EvaluationResults"]] == actions
    nobody = f"arn:aws:iam::{platform.account}:user/{user.name}-nobody"
    said = refused(iam.simulate_principal_policy, PolicySourceArn=nobody, ActionNames=["s3:GetObject"])
    assert said == ("NoSuchEntity", f"The user with name {user.name}-nobody cannot be found.", 404)
    assert (
        refused(iam.simulate_principal_policy, PolicySourceArn="arn:aws:s3:::not-a-user", ActionNames=["s3:GetObject"])[0] == "InvalidInput"
    )
    assert refused(iam.simulate_custom_policy, PolicyInputList=["{"], ActionNames=["s3:GetObject"])[0] == "InvalidInput"
    assert refused(iam.simulate_custom_policy, PolicyInputList=[policy(statement("s3:*"))], ActionNames=["nonsense"])[0] == "InvalidInput"


def test_context_keys(iam: Any, user: Any) -> None:
    document = policy(
        statement("s3:*", "arn:aws:s3:::${aws:username}/*", Condition={"StringLike": {"s3:prefix": "${aws:PrincipalTag/team, 'x'}"}}),
        statement("sqs:*", Condition={"Bool": {"aws:SecureTransport": "true"}}),
    )
    names = iam.get_context_keys_for_custom_policy(PolicyInputList=[document])["ContextKeyNames"]
    assert sorted(names) == ["aws:PrincipalTag/team", "aws:SecureTransport", "aws:username", "s3:prefix"]
    user.may("p", statement("s3:*", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}))
    assert iam.get_context_keys_for_principal_policy(PolicySourceArn=user.arn)["ContextKeyNames"] == ["aws:SourceIp"]


def test_which_policies_grant_a_service(iam: Any, user: Any) -> None:
    user.may("own", statement("s3:GetObject"), statement("sqs:*", effect="Deny"))
    iam.attach_user_policy(UserName=user.name, PolicyArn="arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess")
    found = iam.list_policies_granting_service_access(Arn=user.arn, ServiceNamespaces=["s3", "dynamodb", "sqs"])
    s3, dynamodb, sqs = found["PoliciesGrantingServiceAccess"]
    assert s3["Policies"] == [{"PolicyName": "own", "PolicyType": "INLINE", "EntityType": "USER", "EntityName": user.name}]
    assert [one["PolicyName"] for one in dynamodb["Policies"]] == ["AmazonDynamoDBReadOnlyAccess"]
    assert sqs["Policies"] == []


def test_a_context_entry_without_a_name(iam: Any) -> None:
    ask = {"PolicyInputList": [ANY], "ActionNames": ["s3:GetObject"], "ContextEntries": [{"ContextKeyValues": ["x"]}]}
    assert refused(iam.simulate_custom_policy, **ask)[0] == "InvalidInput"
