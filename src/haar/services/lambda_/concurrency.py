"""Reserved concurrency, and the account's limits."""

from collections.abc import AsyncIterator

from haar.services.lambda_ import service
from haar.services.lambda_.access import named, on_anything, on_function
from haar.services.lambda_.errors import invalid, no_function
from haar.services.lambda_.names import FunctionName
from haar.services.lambda_.packages import MAX_UNZIPPED, MAX_ZIPPED
from haar.services.lambda_.records import (
    FUNCTIONS,
    LAYER_VERSIONS,
    PROVISIONED,
    VERSIONS,
    Function,
    decode_function,
    decode_layer_version,
    decode_provisioned,
    decode_version,
    find_function,
    put_function,
)
from haar.services.service import Context, Input, Output
from haar.store.contract import Reader, Row, Transaction

ACCOUNT_CONCURRENCY = 1000
MIN_UNRESERVED = 100
TOTAL_CODE_SIZE = 80_530_636_800
READ_SLICE = 500


async def functions_of(reader: Reader, region: str) -> list[Function]:
    """All of them, by their names."""
    found: list[Function] = []
    start = b""
    while rows := await reader.range(FUNCTIONS, region.encode(), start, limit=READ_SLICE):
        found += [decode_function(value) for _, value in rows]
        start = rows[-1][0] + b"\x00"
    return found


async def provisioned_of(reader: Reader, region: str) -> dict[str, int]:
    """How many environments each of a region's functions has provisioned."""
    found: dict[str, int] = {}
    async for row in _rows(reader, PROVISIONED, region):
        name = row.partition.decode().partition("/")[2]
        found[name] = found.get(name, 0) + decode_provisioned(row.value).count
    return found


async def _rows(reader: Reader, space: str, region: str) -> AsyncIterator[Row]:
    """A region's rows of a space that has a partition a function or layer."""
    start = f"{region}/".encode()
    after: tuple[bytes, bytes] | None = None
    while rows := await reader.scan(space, start, start[:-1] + b"0", after=after, limit=READ_SLICE):
        for row in rows:
            yield row
        after = (rows[-1].partition, rows[-1].sort)


async def taken(reader: Reader, region: str, but: str = "") -> int:
    """What of the account's concurrency functions other than `but` have for themselves: reserved, or provisioned without that."""
    provisioned = await provisioned_of(reader, region)
    functions = [function for function in await functions_of(reader, region) if function.name != but]
    return sum(provisioned.get(each.name, 0) if each.reserved is None else each.reserved for each in functions)


@service.operation("PutFunctionConcurrency", on_function("lambda:PutFunctionConcurrency", qualified=False))
async def put_function_concurrency(context: Context, input: Input) -> Output:
    name, wanted = _unqualified(context, input), input["ReservedConcurrentExecutions"]

    async def write(tx: Transaction) -> None:
        function = await find_function(tx, name)
        if function is None:
            raise no_function(name.arn)
        provisioned = (await provisioned_of(tx, name.region)).get(name.name, 0)
        if wanted < provisioned:
            raise invalid(  # spaces and all
                f" ReservedConcurrentExecutions  {wanted} should not be lower than function's total provisioned concurrency "
                f"[{provisioned}]."
            )
        if ACCOUNT_CONCURRENCY - await taken(tx, name.region, but=name.name) - wanted < MIN_UNRESERVED:
            raise invalid(
                "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
                f"minimum value of [{MIN_UNRESERVED}]."
            )
        function.reserved = wanted
        put_function(tx, name, function)

    await context.store.transact(write)
    return {"ReservedConcurrentExecutions": wanted}


@service.operation("GetFunctionConcurrency", on_function("lambda:GetFunctionConcurrency", qualified=False))
async def get_function_concurrency(context: Context, input: Input) -> Output:
    name = _unqualified(context, input)
    function = await find_function(context.store, name)
    if function is None:
        raise no_function(name.arn)
    return {} if function.reserved is None else {"ReservedConcurrentExecutions": function.reserved}


@service.operation("DeleteFunctionConcurrency", on_function("lambda:DeleteFunctionConcurrency", qualified=False))
async def delete_function_concurrency(context: Context, input: Input) -> Output:
    name = _unqualified(context, input)

    async def write(tx: Transaction) -> None:
        function = await find_function(tx, name)
        if function is None:
            raise no_function(name.arn)
        function.reserved = None
        put_function(tx, name, function)

    await context.store.transact(write)
    return {}


def _unqualified(context: Context, input: Input) -> FunctionName:
    name = named(context, input)
    if name.qualifier:
        raise invalid("This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
                      "Please specify either a function name or an unqualified function ARN.")  # fmt: skip
    return name


@service.operation("GetAccountSettings", on_anything("lambda:GetAccountSettings"))
async def get_account_settings(context: Context, input: Input) -> Output:
    functions = await functions_of(context.store, context.region)
    size = sum(function.latest.settings.code_size for function in functions)
    async for row in _rows(context.store, VERSIONS, context.region):
        size += decode_version(row.value).settings.code_size
    async for row in _rows(context.store, LAYER_VERSIONS, context.region):
        size += decode_layer_version(row.value).size
    return {
        "AccountLimit": {
            "TotalCodeSize": TOTAL_CODE_SIZE,
            "CodeSizeUnzipped": MAX_UNZIPPED,
            "CodeSizeZipped": MAX_ZIPPED,
            "ConcurrentExecutions": ACCOUNT_CONCURRENCY,
            "UnreservedConcurrentExecutions": ACCOUNT_CONCURRENCY - await taken(context.store, context.region),
        },
        "AccountUsage": {"TotalCodeSize": size, "FunctionCount": len(functions)},
    }
