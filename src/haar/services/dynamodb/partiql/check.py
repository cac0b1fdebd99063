"""Checks of requests with statements, before anything else is done for them."""

import asyncio
from typing import Any

from haar.services.dynamodb import errors
from haar.services.dynamodb.partiql.statements import WRITES, Bound, bind, read
from haar.services.dynamodb.shapes import check_readable
from haar.wire.errors import ServiceError

MIXED_BATCH = "Batch statements must either be all reads or all writes"
MIXED_TRANSACTION = "Transaction statements must either be all reads or all writes"
ONLY_IN_TRANSACTIONS = "EXISTS is only supported in transactions"
OTHER_REQUEST = "NextToken does not match request"
NO_RETURNING = "RETURNING clause is not supported in transactions"

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
    for request in input["TransactStatements"]:
        try:
            found.append(await _bound(request))
        except ServiceError:
            check_readable(input)
            raise
        await asyncio.sleep(0)
    if len({each.statement.reads for each in found}) > 1:
        raise errors.validation(MIXED_TRANSACTION)
    if any(each.statement.returning is not None for each in found):
        raise errors.validation(NO_RETURNING)
    return found
