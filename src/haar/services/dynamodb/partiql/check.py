"""Checks of requests with statements, before anything else is done for them."""

import asyncio
from typing import Any

from haar.services.dynamodb import errors
from haar.services.dynamodb.partiql.compile import read
from haar.services.dynamodb.partiql.parse import ONLY_IN_TRANSACTIONS
from haar.services.dynamodb.partiql.statements import COUNT_MISMATCH, WRITES, Bound, bind
from haar.services.dynamodb.shapes import check_readable
from haar.wire.errors import ServiceError

MIXED_BATCH = "Batch statements must either be all reads or all writes"
MIXED_TRANSACTION = "ExecuteTransaction API does not support both read and write operations in the same request."
OTHER_REQUEST = "NextToken does not match request"
NO_RETURNING = "RETURNING clause is not supported in ExecuteTransaction."

Input = dict[str, Any]


async def _bound(request: Input) -> Bound:
    return bind(await read(request["Statement"]), request.get("Parameters"))


async def statement(input: Input) -> Bound:
    """The statement of a request. Raises ValidationException or SerializationException."""
    try:
        bound = await _bound(input)
        _check_alone(bound)
    except ServiceError:
        check_readable(input)
        raise
    if not bound.statement.reads and input.get("NextToken") is not None:
        raise errors.validation(OTHER_REQUEST)
    return bound


def _check_alone(bound: Bound) -> None:
    if bound.statement.kind == "EXISTS":
        raise errors.validation(ONLY_IN_TRANSACTIONS)


async def batch(input: Input) -> list[Bound | ServiceError]:
    """Each statement, or what is wrong with it: one does not keep the others from running."""
    found: list[Bound | ServiceError] = []
    for request in input["Statements"]:
        try:
            bound = await _bound(request)
            _check_alone(bound)
            found.append(bound)
        except ServiceError as error:
            check_readable(input)
            found.append(error)
        await asyncio.sleep(0)  # lets others in: there may be many
    if len({each.statement.kind in WRITES for each in found if isinstance(each, Bound)}) > 1:
        raise errors.validation(MIXED_BATCH)
    return found


async def transaction(input: Input) -> list[Bound]:
    """The statements of a transaction. Raises ValidationException when they cannot be in one."""
    found = []
    for at, request in enumerate(input["TransactStatements"]):
        try:
            found.append(await _bound(request))
        except ServiceError as error:
            check_readable(input)
            raise (in_transaction(at, COUNT_MISMATCH) if error.message == COUNT_MISMATCH else error) from None
        await asyncio.sleep(0)
    if len({each.statement.reads for each in found}) > 1:
        raise errors.validation(MIXED_TRANSACTION)
    for at, each in enumerate(found):
        if each.statement.returning is not None:
            raise in_transaction(at, NO_RETURNING)
    return found


def in_transaction(at: int, message: str) -> ServiceError:
    """What keeps the statement at this position from being in a transaction."""
    return errors.validation(f"Validation failed in TransactStatements[{at}]: {message}")
