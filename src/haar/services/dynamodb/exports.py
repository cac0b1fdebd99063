"""Exports to S3 and imports from it: none can be made here, and so there are none to list or describe.

The codes of the errors are AWS's; their wording is not known.
"""

from collections.abc import Callable, Sequence

from haar.services.dynamodb.face import service
from haar.services.dynamodb.tables import table_arn
from haar.services.service import Context, Demand, Input, Output
from haar.wire.errors import ServiceError


def _on_arn(action: str, member: str) -> Callable[[Context, Input], Sequence[Demand]]:
    def demands(ctx: Context, input: Input) -> Sequence[Demand]:
        return (Demand(f"dynamodb:{action}", input[member]),)

    return demands


def _of_table(action: str) -> Callable[[Context, Input], Sequence[Demand]]:
    """On the table that is asked about, or on all."""

    def demands(ctx: Context, input: Input) -> Sequence[Demand]:
        return (Demand(f"dynamodb:{action}", input.get("TableArn") or table_arn(ctx.region, ctx.account, "*")),)

    return demands


@service.operation("ListExports", _of_table("ListExports"))
async def list_exports(ctx: Context, input: Input) -> Output:
    return {"ExportSummaries": []}


@service.operation("ListImports", _of_table("ListImports"))
async def list_imports(ctx: Context, input: Input) -> Output:
    return {"ImportSummaryList": []}


@service.operation("DescribeExport", _on_arn("DescribeExport", "ExportArn"))
async def describe_export(ctx: Context, input: Input) -> Output:
    raise ServiceError("ExportNotFoundException", f"Export not found: {input['ExportArn']}")


@service.operation("DescribeImport", _on_arn("DescribeImport", "ImportArn"))
async def describe_import(ctx: Context, input: Input) -> Output:
    raise ServiceError("ImportNotFoundException", f"Import not found: {input['ImportArn']}")
