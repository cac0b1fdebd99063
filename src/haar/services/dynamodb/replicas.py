"""Global tables: there are none here. What asks for one's replicas is refused, and what asks about them is told that there are none."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from haar.services.dynamodb import errors
from haar.services.dynamodb.access import nowhere, on_table
from haar.services.dynamodb.describe import shown_status
from haar.services.dynamodb.face import service
from haar.services.dynamodb.tables import Tables
from haar.services.service import Context, Demand, Input, Output
from haar.wire.errors import ServiceError

ELSEWHERE = (
    "ReplicaUpdates",
    "GlobalTableWitnessUpdates",
    "GlobalTableSettingsReplicationMode",
    "GlobalTableSourceArn",
    "MultiRegionConsistency",
    "DisassociationProtectionEnabled",
)
"""Parameters of CreateTable and UpdateTable that are about replicas."""


def refuse(input: Mapping[str, Any]) -> None:
    """Raises ValidationException, in haar's own words, for parameters that AWS has and haar has not."""
    for name in ELSEWHERE:
        if input.get(name) is not None:
            raise errors.validation(f"haar has no global tables: {name} cannot be specified")


def _on_global_table(action: str) -> Callable[[Context, Input], Sequence[Demand]]:
    def demands(ctx: Context, input: Input) -> Sequence[Demand]:
        return (Demand(f"dynamodb:{action}", f"arn:aws:dynamodb::{ctx.account}:global-table/{input['GlobalTableName']}"),)

    return demands


async def _no_such_table(ctx: Context, input: Input) -> Output:
    # AWS's code; its wording is not known.
    raise ServiceError("GlobalTableNotFoundException", f"Global table with name: '{input['GlobalTableName']}' does not exist.")


for _name in ("DescribeGlobalTable", "DescribeGlobalTableSettings", "UpdateGlobalTable", "UpdateGlobalTableSettings"):
    service.operation(_name, _on_global_table(_name))(_no_such_table)


@service.operation("ListGlobalTables", nowhere("ListGlobalTables"))
async def list_global_tables(ctx: Context, input: Input) -> Output:
    return {"GlobalTables": []}


@service.operation("DescribeTableReplicaAutoScaling", on_table("DescribeTableReplicaAutoScaling"))
async def describe_table_replica_auto_scaling(ctx: Context, input: Input) -> Output:
    table = await ctx.host.get(Tables).find(ctx.region, input["TableName"])
    if table is None:
        raise errors.table_not_found(input["TableName"])
    return {"TableAutoScalingDescription": {"TableName": table.name, "TableStatus": shown_status(table.record), "Replicas": []}}
