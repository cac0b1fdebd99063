"""Checks of requests with statements, before anything is read: `prepare.py` calls them."""

from typing import Any

from haar.services.dynamodb import errors
from haar.services.dynamodb.partiql.statements import WRITES, Bound, bind
from haar.wire.errors import ServiceError

MIXED_BATCH = "Batch statements must either be all reads or all writes"
MIXED_TRANSACTION = "Transaction statements must either be all reads or all writes"
ONLY_IN_TRANSACTIONS = "EXISTS is only supported in transactions"
OTHER_REQUEST = "NextToken does not match request"
NO_RETURNING = "RETURNING clause is not supported in transactions"

Input = dict[str, Any]


def statement(input: Input) -> Bound:
    bound = bind(input["Statement"], input.get("Parameters"))
    _check_alone(bound)
    if not bound.statement.reads and input.get("NextToken") is not None:
        raise errors.validation(OTHER_REQUEST)
    return bound


def _check_alone(bound: Bound) -> None:
    if bound.statement.kind == "EXISTS":
        raise errors.validation(ONLY_IN_TRANSACTIONS)


def batch(input: Input) -> list[Bound | ServiceError]:
    """Each statement, or what is wrong with it: one does not keep the others from running."""
    found: list[Bound | ServiceError] = []
    for request in input["Statements"]:
        try:
            bound = bind(request["Statement"], request.get("Parameters"))
            _check_alone(bound)
            found.append(bound)
        except ServiceError as error:
            if error.code == "Serialization":
                raise
            found.append(error)
    kinds = {each.statement.kind in WRITES for each in found if isinstance(each, Bound)}
    if len(kinds) > 1:
        raise errors.validation(MIXED_BATCH)
    return found


def transaction(input: Input) -> list[Bound]:
    found = [bind(request["Statement"], request.get("Parameters")) for request in input["TransactStatements"]]
    if len({each.statement.reads for each in found}) > 1:
        raise errors.validation(MIXED_TRANSACTION)
    if any(each.statement.returning is not None for each in found):
        raise errors.validation(NO_RETURNING)
    return found
