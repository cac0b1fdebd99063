"""Service-linked roles: made for one service, changed by it alone."""

import orjson

from haar.services.iam import errors
from haar.services.iam.catalog import aws_policy
from haar.services.iam.demands import on
from haar.services.iam.entities import attach, create, detach, need, unique_id
from haar.services.iam.records import Role
from haar.services.iam.roles import forget_role, role_shape
from haar.services.iam.service import service
from haar.services.service import Context, Demand, Input, Output
from haar.store.contract import Transaction
from haar.wire.errors import ServiceError

NAMES = {
    "autoscaling.amazonaws.com": "AutoScaling",
    "batch.amazonaws.com": "Batch",
    "dynamodb.application-autoscaling.amazonaws.com": "ApplicationAutoScaling_DynamoDBTable",
    "lambda.application-autoscaling.amazonaws.com": "ApplicationAutoScaling_LambdaConcurrency",
    "ecs.amazonaws.com": "ECS",
    "elasticache.amazonaws.com": "ElastiCache",
    "elasticloadbalancing.amazonaws.com": "ElasticLoadBalancing",
    "es.amazonaws.com": "AmazonElasticsearchService",
    "opensearchservice.amazonaws.com": "AmazonOpenSearchService",
    "events.amazonaws.com": "CloudWatchEvents",
    "apidestinations.events.amazonaws.com": "AmazonEventBridgeApiDestinations",
    "kinesisreplication.dynamodb.amazonaws.com": "DynamoDBKinesisDataStreamsReplication",
    "contributorinsights.dynamodb.amazonaws.com": "DynamoDBCloudWatchContributorInsights",
    "lambda.amazonaws.com": "Lambda",
    "logs.amazonaws.com": "CloudWatchLogs",
    "ops.apigateway.amazonaws.com": "APIGateway",
    "rds.amazonaws.com": "RDS",
    "replication.dynamodb.amazonaws.com": "DynamoDBReplication",
    "replicator.lambda.amazonaws.com": "LambdaReplicator",
    "sns.amazonaws.com": "SNS",
    "spot.amazonaws.com": "EC2Spot",
    "states.amazonaws.com": "StepFunctions",
}
"""What follows `AWSServiceRoleFor` in a role's name."""
SUFFIXED = frozenset(("autoscaling.amazonaws.com",))
"""Services that may have several roles, told apart by a suffix."""
PREFIX = "AWSServiceRoleFor"


def _path(linked: str) -> str:
    return f"/aws-service-role/{linked}/"


def _name(input: Input) -> str:
    """The role's name; raises InvalidInput for a service that has no such roles."""
    linked, suffix = input["AWSServiceName"], input.get("CustomSuffix")
    known = NAMES.get(linked)
    if known is None:
        raise errors.invalid_input(f"Service role for {linked} is not supported.")
    if suffix and linked not in SUFFIXED:
        raise errors.invalid_input("Custom suffix is not allowed for " + linked)
    return PREFIX + known + (f"_{suffix}" if suffix else "")


def _making(ctx: Context, input: Input) -> list[Demand]:
    linked = input["AWSServiceName"]
    arn = f"arn:aws:iam::{ctx.account}:role{_path(linked)}{_name(input)}"
    return [Demand("iam:CreateServiceLinkedRole", arn, {"iam:AWSServiceName": (linked,)})]


@service.operation("CreateServiceLinkedRole", _making)
async def create_service_linked_role(ctx: Context, input: Input) -> Output:
    linked, name = input["AWSServiceName"], _name(input)
    statement = {"Action": ["sts:AssumeRole"], "Effect": "Allow", "Principal": {"Service": [linked]}}
    role = Role(
        name=name,
        path=_path(linked),
        id=unique_id(ctx.host.ids, Role),
        created=ctx.now(),
        trust=orjson.dumps({"Version": "2012-10-17", "Statement": [statement]}).decode(),
        description=input.get("Description"),
        service=linked,
    )
    policy = aws_policy(f"arn:aws:iam::aws:policy/aws-service-role/{name.removeprefix(PREFIX)}ServiceRolePolicy")

    async def also(tx: Transaction, role: Role) -> None:
        if policy is not None:
            role.attached = [policy.arn(ctx.account)]
            attach(tx, policy.arn(ctx.account), role)

    try:
        await create(ctx, role, also)
    except ServiceError as error:
        if error.code != "EntityAlreadyExists":
            raise
        message = f"Service role name {name} has been taken in this account, please try a different suffix."
        raise errors.invalid_input(message) from None
    shape = await role_shape(ctx.store, ctx.account, role)
    del shape["MaxSessionDuration"], shape["RoleLastUsed"]
    return {"Role": shape}


@service.operation("DeleteServiceLinkedRole", on(Role))
async def delete_service_linked_role(ctx: Context, input: Input) -> Output:
    """Done at once; the task id says which role it was."""

    async def write(tx: Transaction) -> Role:
        role = await need(tx, Role, input["RoleName"])
        if not role.service:
            raise errors.invalid_input(f"Role {role.name} is not a service-linked role.")
        for arn in role.attached:
            detach(tx, arn, role)
        await forget_role(tx, role)
        tx.put(DELETED, task_key(role.service, role.name, task), b"", b"")
        return role

    task = ctx.host.ids.uuid()
    role = await ctx.store.transact(write)
    return {"DeletionTaskId": f"task{_path(role.service)}{role.name}/{task}"}


DELETED = "iam.deletions"
"""Deletions of service-linked roles that were done, by what their task ids hold."""


def task_key(linked: str, name: str, task: str) -> bytes:
    return f"task{_path(linked)}{name}/{task}".encode()


def _on_task(ctx: Context, input: Input) -> list[Demand]:
    role = input["DeletionTaskId"].removeprefix("task").rpartition("/")[0]
    return [Demand("iam:GetServiceLinkedRoleDeletionStatus", f"arn:aws:iam::{ctx.account}:role{role}")]


@service.operation("GetServiceLinkedRoleDeletionStatus", _on_task)
async def get_service_linked_role_deletion_status(ctx: Context, input: Input) -> Output:
    task = input["DeletionTaskId"]
    if await ctx.store.get(DELETED, task.encode()) is None:
        raise errors.no_such_entity(f"Deletion task {task} cannot be found.")
    return {"Status": "SUCCEEDED"}
