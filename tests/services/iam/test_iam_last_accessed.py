"""Which services are used by whom, of those that they may use."""

from typing import Any

import pytest
from tests.services.iam.test_iam_directory import ACCOUNT, a_user, call
from tests.support.identity import policy, statement

from haar.services.iam import public
from haar.services.iam.uses import Uses
from haar.services.service import Host
from haar.wire.errors import ServiceError


async def report(host: Host, arn: str) -> tuple[str, dict[str, dict[str, Any]]]:
    job = (await call(host, "GenerateServiceLastAccessedDetails", Arn=arn))["JobId"]
    found = await call(host, "GetServiceLastAccessedDetails", JobId=job)
    assert (found["JobStatus"], found["JobType"], found["IsTruncated"]) == ("COMPLETED", "SERVICE_LEVEL", False)
    return job, {one["ServiceNamespace"]: one for one in found["ServicesLastAccessed"]}


async def test_only_what_may_be_used_is_told_of_with_its_last_use(host: Host) -> None:
    ada = await a_user(host)
    arn = f"arn:aws:iam::{ACCOUNT}:user/ada"
    allowed = policy(statement(["dynamodb:*", "lambda:GetFunction"]), statement("s3:*", effect="Deny"))
    await call(host, "PutUserPolicy", UserName="ada", PolicyName="p", PolicyDocument=allowed)
    public.note_use(host, ada, "dynamodb", "dynamodb", "eu-west-1")
    public.note_use(host, ada, "monitoring", "cloudwatch", "eu-west-1")
    await host.get(Uses).write()
    job, services = await report(host, arn)
    assert list(services) == ["dynamodb", "lambda"]
    assert services["lambda"] == {"ServiceName": "AWS Lambda", "ServiceNamespace": "lambda", "TotalAuthenticatedEntities": 0}
    used = services["dynamodb"]
    assert (used["LastAuthenticatedEntity"], used["LastAuthenticatedRegion"], used["TotalAuthenticatedEntities"]) == (arn, "eu-west-1", 1)
    entities = await call(host, "GetServiceLastAccessedDetailsWithEntities", JobId=job, ServiceNamespace="dynamodb")
    assert entities["EntityDetailsList"] == [
        {
            "EntityInfo": {"Arn": arn, "Name": "ada", "Type": "USER", "Id": ada.id, "Path": "/"},
            "LastAuthenticated": used["LastAuthenticated"],
        }
    ]


async def test_groups_and_policies_are_used_by_those_who_have_them(host: Host) -> None:
    ada, bob = await a_user(host), await a_user(host, "bob")
    made = await call(host, "CreatePolicy", PolicyName="p", PolicyDocument=policy(statement("sts:*")))
    await call(host, "CreateGroup", GroupName="g")
    for name in ("ada", "bob"):
        await call(host, "AddUserToGroup", GroupName="g", UserName=name)
    await call(host, "AttachGroupPolicy", GroupName="g", PolicyArn=made["Policy"]["Arn"])
    for each in (ada, bob):
        public.note_use(host, each, "sts", "sts", "us-east-1")
    await host.get(Uses).write()
    for arn in (f"arn:aws:iam::{ACCOUNT}:group/g", made["Policy"]["Arn"]):
        _, services = await report(host, arn)
        assert [(name, one["TotalAuthenticatedEntities"]) for name, one in services.items()] == [("sts", 2)]


async def test_everything_is_told_of_in_pages(host: Host) -> None:
    job = (await call(host, "GenerateServiceLastAccessedDetails", Arn="arn:aws:iam::aws:policy/AdministratorAccess"))["JobId"]
    names, marker = [], {}
    while True:
        found = await call(host, "GetServiceLastAccessedDetails", JobId=job, MaxItems=150, **marker)
        names += [one["ServiceNamespace"] for one in found["ServicesLastAccessed"]]
        if not found["IsTruncated"]:
            break
        marker = {"Marker": found["Marker"]}
    assert len(names) > 400 and names == sorted(set(names))


@pytest.mark.parametrize(
    ("operation", "input", "code"),
    [
        ("GenerateServiceLastAccessedDetails", {"Arn": f"arn:aws:iam::{ACCOUNT}:user/nobody"}, "NoSuchEntity"),
        ("GenerateServiceLastAccessedDetails", {"Arn": f"arn:aws:iam::{ACCOUNT}:policy/none"}, "NoSuchEntity"),
        ("GenerateServiceLastAccessedDetails", {"Arn": "arn:aws:s3:::nothing-of-iam"}, "InvalidInput"),
        ("GetServiceLastAccessedDetails", {"JobId": "0" * 36}, "NoSuchEntity"),
    ],
)
async def test_what_is_not_there(host: Host, operation: str, input: dict[str, str], code: str) -> None:
    with pytest.raises(ServiceError) as refused:
        await call(host, operation, **input)
    assert refused.value.code == code
