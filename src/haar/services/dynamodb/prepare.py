"""Checks of requests before anything is read: constraints of the model, then DynamoDB's own rules, in DynamoDB's order.

What is compiled on the way is kept with the input under `PREPARED`, so that it is done once a request.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from haar.services.dynamodb import errors, legacy, names, shapes, values, wording
from haar.services.dynamodb.expressions import projections
from haar.services.dynamodb.expressions.conditions import Compiled
from haar.services.dynamodb.expressions.keyconditions import KeyCondition, key_conditions
from haar.services.dynamodb.expressions.scope import Parameters, Scope
from haar.services.dynamodb.expressions.updates import Compiled as Update
from haar.services.dynamodb.limits import (
    ATTRIBUTE_NAME_BYTES,
    BATCH_GET_KEYS,
    BATCH_WRITE_REQUESTS,
    CHECKED_AT_ONCE,
    DIMENSIONS,
    ITEM_BYTES,
    MOST_TOLD,
    SLICE_REQUESTS,
)
from haar.services.dynamodb.plain import is_plain
from haar.services.dynamodb.values import Item, Value
from haar.services.service import Context
from haar.wire import load
from haar.wire.errors import CommonError, ServiceError

PREPARED = "_"
CALLED = "_called"
"""Under this, the table's ARN when the request calls it by that."""
OPAQUE = frozenset({"AttributeValue"})
SHORT_WORDS = "TableName must be at least 3 characters long and at most 255 characters long"
ENVELOPE = "1 validation error detected: "
ENVELOPED = frozenset(("PutItem", "UpdateItem", "DeleteItem"))
OLDER = frozenset(("BatchWriteItem", "TransactWriteItems", "TransactGetItems", "Scan"))
"""Operations that check values in DynamoDB's first way, with its first wording."""
LONG_NAMES = f"length less than or equal to {ATTRIBUTE_NAME_BYTES}]"
"""How the model ends what it tells of maps with names that are too long: DynamoDB tells that itself where they are an item's."""
NAMED_OTHERWISE = ("'attributesToGet'", "'expected'", "'keyConditions'", "'queryFilter'", "'scanFilter'")
NO_NUMBER = "The parameter cannot be converted to a numeric value"
BARE = (
    *(f"{count} validation error" for count in range(1, 11)),
    "Item size has exceeded",
    values.TOO_DEEP,
)
"""How messages begin that are told as they are everywhere."""
CONTROL_PLANE = frozenset(("CreateTable", "UpdateTable", "DeleteTable", "DescribeTable"))

Input = dict[str, Any]
Condition = Callable[[Item], bool]
Attributes = tuple[str, ...]


@dataclass(slots=True)
class Prepared:
    size: int = 0
    """Of the item to be put."""
    condition: Condition | None = None
    """ConditionExpression, FilterExpression or their legacy forms."""
    condition_heads: Attributes = ()
    update: "Update | legacy.LegacyUpdate | None" = None
    values: Mapping[str, Value] = field(default_factory=dict)
    projection: projections.Compiled | None = None
    keys: dict[str, KeyCondition] | None = None
    legacy_filter: bool = False
    nested: Attributes = ()
    """Attributes that an expression looks into: key attributes cannot be among them."""
    insert: bool = False
    """PartiQL's INSERT: there must be no such item."""


NOTHING = Prepared()
"""Of reads that ask for whole items; shared."""
_OF_WRITES = Parameters(("ConditionExpression",), ("Expected",))
_OF_UPDATES = Parameters(("UpdateExpression", "ConditionExpression"), ("AttributeUpdates", "Expected"))
_OF_READS = Parameters(("ProjectionExpression",), ("AttributesToGet",))
_PROJECTING = frozenset(("ProjectionExpression", "AttributesToGet"))
_OF_QUERIES = Parameters(
    ("ProjectionExpression", "FilterExpression", "KeyConditionExpression"),
    ("AttributesToGet", "QueryFilter", "ConditionalOperator", "KeyConditions"),
)
_OF_SCANS = Parameters(("ProjectionExpression", "FilterExpression"), ("AttributesToGet", "ScanFilter", "ConditionalOperator"))


def check(operation: str, input: Input) -> None:
    """Raises ValidationException or SerializationException for a request that is wrong in itself."""
    try:
        if not is_plain(operation, input):
            _check_constraints(operation, input)
        prepare = _PREPARE.get(operation)
        if prepare is not None:
            input[PREPARED] = prepare(input)
    except ServiceError as error:
        # What cannot be read at all is said before what is not allowed, wherever it is in the request.
        shapes.check_readable(input)
        raise _worded(operation, error) from None


def _worded(operation: str, error: ServiceError) -> ServiceError:
    """The writes of single items tell what is wrong with a request as one of its validation errors; other operations tell it bare."""
    message = error.message or ""
    if operation not in OLDER and message.endswith(NO_NUMBER):
        message += ": "
        error = ServiceError(error.code, message)
    if operation not in ENVELOPED or error.code not in ("ValidationException", "Validation") or message.startswith(BARE):
        return error
    return errors.validation(ENVELOPE + message)


def _check_constraints(operation: str, input: Input) -> None:
    if operation == "BatchWriteItem" and input.get("RequestItems") == {}:
        raise errors.validation("The requestItems parameter is required for BatchWriteItem")
    name = input.get("TableName")
    problems: list[str] = []
    if name is None:
        if operation in CONTROL_PLANE:
            raise errors.validation("The parameter 'TableName' is required but was not present in the request")
    elif not names.is_table(name):
        if operation in CONTROL_PLANE and not names.LENGTHS[0] <= len(name) <= names.LENGTHS[1]:
            raise errors.validation(SHORT_WORDS)
        problems = names.problems("tableName", name)
    if operation == "CreateTable":
        # The model no longer says so, since a table can also be made from another one's.
        missing = [member for member in ("AttributeDefinitions", "KeySchema") if input.get(member) is None]
        problems += [f"Value null at '{m[0].lower()}{m[1:]}' failed to satisfy constraint: Member must not be null" for m in missing]
    told = _shortened(input)
    try:
        load("dynamodb", OPAQUE).validate(operation, told)
    except CommonError as error:
        if error.code != "Validation":
            raise
        found = wording.problems_of(operation, error)
        problems += [each for each in found if not _has_long_names(each) and (not problems or "at 'tableName'" not in each)]
    problems += names.inner_problems(operation, told)
    if problems:
        raise errors.validation(wording.joined(problems))


def _has_long_names(problem: str) -> bool:
    return problem.endswith(LONG_NAMES) and not any(f" at {member} failed" in problem for member in NAMED_OTHERWISE)


_LONGEST = {"TransactItems": MOST_TOLD, "Statements": MOST_TOLD, "TransactStatements": MOST_TOLD, "SearchVector": DIMENSIONS + 1}
"""Lists of which no more is looked at: fewer may be given."""


def _shortened(input: Input) -> Input:
    """The request with as much of far too long lists as is enough to refuse them: what is refused is also told."""
    requests = input.get("RequestItems")
    for name, most in _LONGEST.items():
        if len(input.get(name) or ()) > most:
            return {**input, name: input[name][:most]}
    if requests is None or (len(requests) <= MOST_TOLD and all(_listed(each) <= MOST_TOLD for each in requests.values())):
        return input
    few = {
        name: request[:MOST_TOLD] if type(request) is list else {**request, "Keys": request.get("Keys", [])[:MOST_TOLD]}
        for name, request in list(requests.items())[:MOST_TOLD]
    }
    return {**input, "RequestItems": few}


def _listed(request: Any) -> int:
    return len(request if type(request) is list else request.get("Keys", ()))


def put(input: Input, older: bool = False) -> Prepared:
    """PutItem, and Put of a transaction."""
    prepared = Prepared()
    _OF_WRITES.check(input)
    prepared.size = checked_item(input["Item"])
    _check_return_values(input)
    _check_size(prepared.size)
    _conditional(input, prepared, older)
    return prepared


def checked_item(item: Any) -> int:
    """Makes an item that is to be written canonical; its size."""
    size = values.check_item(item)
    if "" in item:
        raise errors.nameless()
    return size


def _check_return_values(input: Input) -> None:
    if input.get("ReturnValues", "NONE") not in ("NONE", "ALL_OLD"):
        raise errors.validation("ReturnValues can only be ALL_OLD or NONE")


def _check_size(size: int) -> None:
    if size > ITEM_BYTES:
        raise errors.validation(values.TOO_LARGE)


def delete(input: Input, older: bool = False) -> Prepared:
    """DeleteItem, and Delete and ConditionCheck of a transaction."""
    prepared = Prepared()
    _OF_WRITES.check(input)
    values.check_item(input["Key"])
    _check_return_values(input)
    _conditional(input, prepared, older)
    return prepared


def update(input: Input, older: bool = False) -> Prepared:
    """UpdateItem, and Update of a transaction."""
    prepared = Prepared()
    _OF_UPDATES.check(input)
    values.check_item(input["Key"])
    changes = input.get("AttributeUpdates")
    if changes is not None:
        prepared.update = legacy.attribute_updates(changes)
    text = input.get("UpdateExpression")
    if text is None:
        _conditional(input, prepared, older)
        return prepared
    legacy.check_operator(input, None)
    scope = Scope(input, older)
    compiled = scope.update(text)
    prepared.update, prepared.values = compiled, scope.values
    prepared.nested = compiled.nested
    _condition(input, prepared, scope)
    scope.finish()
    return prepared


def _conditional(input: Input, prepared: Prepared, older: bool) -> None:
    if input.get("ConditionExpression") is not None:
        legacy.check_operator(input, None)
        scope = Scope(input, older)
        _condition(input, prepared, scope)
        scope.finish()
    elif input.get("Expected") or input.get("ConditionalOperator"):
        expected = input.get("Expected")
        legacy.check_operator(input, expected)
        if expected:
            prepared.condition = legacy.expected(expected, input.get("ConditionalOperator") == "OR")
            prepared.condition_heads = tuple(expected)


def _condition(input: Input, prepared: Prepared, scope: Scope) -> None:
    text = input.get("ConditionExpression")
    if text is not None:
        compiled = scope.compiled("ConditionExpression", text)
        prepared.condition = compiled.bind(scope.values)
        prepared.condition_heads = compiled.heads
        prepared.nested += compiled.nested


def get(input: Input) -> Prepared:
    """GetItem, and Get of a transaction."""
    _OF_READS.check(input)
    values.check_item(input["Key"])
    if _PROJECTING.isdisjoint(input):
        return NOTHING
    prepared = Prepared()
    project(input, prepared)
    return prepared


def project(input: Input, prepared: Prepared) -> None:
    """ProjectionExpression or AttributesToGet, where no other expression goes with them."""
    if input.get("ProjectionExpression") is not None:
        scope = Scope(input)
        prepared.projection = scope.projection(input["ProjectionExpression"])
        prepared.nested = prepared.projection.nested
        scope.finish()
    elif input.get("AttributesToGet") is not None:
        prepared.projection = legacy.attributes_to_get(input["AttributesToGet"])


def query(input: Input) -> Prepared:
    prepared = Prepared()
    _OF_QUERIES.check(input)
    _start_key(input)
    if input.get("AttributesToGet") is not None:
        prepared.projection = legacy.attributes_to_get(input["AttributesToGet"])
    filters = input.get("QueryFilter")
    legacy.check_operator(input, filters)
    if filters:
        prepared.condition = legacy.filtered(filters, input.get("ConditionalOperator") == "OR")
        prepared.condition_heads, prepared.legacy_filter = tuple(filters), True
    scope = Scope(input)
    key_condition = input.get("KeyConditionExpression")
    compiled: Compiled | None = None
    if key_condition is not None:
        compiled = scope.compiled("KeyConditionExpression", key_condition)
        compiled.check(scope.values)
    _filter_and_projection(input, prepared, scope)
    scope.finish()
    if compiled is not None:
        prepared.keys = key_conditions(compiled, scope.values)
    elif input.get("KeyConditions") is not None:
        prepared.keys = legacy.key_conditions(input["KeyConditions"])
    else:
        raise errors.validation("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
    _check_select(input, prepared, ENVELOPE)
    return prepared


def scan(input: Input) -> Prepared:
    prepared = Prepared()
    _OF_SCANS.check(input)
    _start_key(input)
    if input.get("AttributesToGet") is not None:
        prepared.projection = legacy.attributes_to_get(input["AttributesToGet"])
    filters = input.get("ScanFilter")
    legacy.check_operator(input, filters)
    if filters:
        prepared.condition = legacy.filtered(filters, input.get("ConditionalOperator") == "OR")
        prepared.condition_heads, prepared.legacy_filter = tuple(filters), True
    scope = Scope(input, older=True)
    _filter_and_projection(input, prepared, scope)
    scope.finish()
    _check_select(input, prepared)
    segment, total = input.get("Segment"), input.get("TotalSegments")
    if total is not None and segment is None:
        raise errors.validation(
            "The Segment parameter is required but was not present in the request when parameter TotalSegments is present"
        )
    if segment is not None and total is None:
        raise errors.validation(
            "The TotalSegments parameter is required but was not present in the request when Segment parameter is present"
        )
    if segment is not None and segment >= total:
        raise errors.validation(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            f"Segment: {segment} is not less than TotalSegments: {total}"
        )
    return prepared


def _start_key(input: Input) -> None:
    start = input.get("ExclusiveStartKey")
    if start is None:
        return
    for value in start.values():
        try:
            values.check(value)
        except ServiceError as error:
            if error.code != "ValidationException":
                raise
            raise errors.validation(f"The provided starting key is invalid: {error.message}") from None


def _filter_and_projection(input: Input, prepared: Prepared, scope: Scope) -> None:
    text = input.get("FilterExpression")
    if text is not None:
        compiled = scope.compiled("FilterExpression", text)
        prepared.condition = compiled.bind(scope.values)
        prepared.condition_heads = compiled.heads
        prepared.nested += compiled.nested
    if input.get("ProjectionExpression") is not None:
        prepared.projection = scope.projection(input["ProjectionExpression"])
        prepared.nested += prepared.projection.nested


def _check_select(input: Input, prepared: Prepared, envelope: str = "") -> None:
    """`envelope` is what a Query tells first of what it refuses here."""
    select = input.get("Select")
    asked = "AttributesToGet" if input.get("AttributesToGet") is not None else "ProjectionExpression"
    wrong = None
    if prepared.projection is not None and select is not None and select != "SPECIFIC_ATTRIBUTES":
        wrong = f"Cannot specify the {asked} when choosing to get {select if select != 'COUNT' else 'only the Count'}"
    elif select == "SPECIFIC_ATTRIBUTES" and prepared.projection is None:
        wrong = "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"
    elif select == "ALL_PROJECTED_ATTRIBUTES" and input.get("IndexName") is None:
        wrong = f"{errors.INVALID}ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"
    if wrong is not None:
        raise errors.validation(envelope + wrong)


async def gradually(ctx: Context, input: Input, work: Iterator[None]) -> None:
    """Does the checks of a batch or transaction, and lets others in between slices; a helper thread does those of large requests."""
    length = ctx.headers.get("content-length")
    large = length is None or int(length) > CHECKED_AT_ONCE or "content-encoding" in ctx.headers
    try:
        if large:
            await asyncio.to_thread(deque, work, 0)
            return
        for done, _ in enumerate(work):
            if done and done % SLICE_REQUESTS == 0:
                await asyncio.sleep(0)
    except ServiceError as error:
        if large:
            await asyncio.to_thread(shapes.check_readable, input)
        else:
            shapes.check_readable(input)
        raise _worded(ctx.operation, error) from None


def batch_get(input: Input) -> Iterator[None]:
    """Checks each table's part, and keeps what is prepared with it."""
    total = 0
    for request in input["RequestItems"].values():
        _OF_READS.check(request)
        prepared = request[PREPARED] = Prepared()
        for key in request["Keys"]:
            values.check_item(key)
            yield
        if len({orjson.dumps(key, option=orjson.OPT_SORT_KEYS) for key in request["Keys"]}) != len(request["Keys"]):
            raise errors.validation("Provided list of item keys contains duplicates")
        total += len(request["Keys"])
        project(request, prepared)
    if total > BATCH_GET_KEYS:
        raise errors.validation("Too many items requested for the BatchGetItem call")


def batch_write(input: Input) -> Iterator[None]:
    """The same for writes."""
    total = 0
    for requests in input["RequestItems"].values():
        total += len(requests)
        for request in requests:
            _batch_request(request)
            yield
    if total > BATCH_WRITE_REQUESTS:
        raise errors.validation("Too many items requested for the BatchWriteItem call")


def _batch_request(request: Input) -> None:
    put_request, delete_request = request.get("PutRequest"), request.get("DeleteRequest")
    if (put_request is None) == (delete_request is None):
        raise errors.validation(
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
            if put_request is not None
            else "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
        )
    prepared = request[PREPARED] = Prepared()
    if put_request is not None:
        prepared.size = checked_item(put_request["Item"])
        _check_size(prepared.size)
    else:
        assert delete_request is not None
        values.check_item(delete_request["Key"])


ACTIONS: dict[str, Callable[[Input, bool], Prepared]] = {"Put": put, "Update": update, "Delete": delete, "ConditionCheck": delete}


def transact_write(input: Input) -> Iterator[None]:
    """Checks each action, and keeps what is prepared with it."""
    for given in input["TransactItems"]:
        actions = [name for name in ACTIONS if given.get(name) is not None]
        if not actions:
            raise errors.validation("Invalid Request: TransactWriteRequest should contain Delete or Put or Update request")
        if len(actions) > 1:
            raise errors.validation("TransactItems can only contain one of Check, Put, Update or Delete")
        action = given[actions[0]]
        action[PREPARED] = ACTIONS[actions[0]](action, True)
        yield


def transact_get(input: Input) -> Iterator[None]:
    for given in input["TransactItems"]:
        given["Get"][PREPARED] = get(given["Get"])
        yield


_PREPARE: dict[str, Callable[[Input], Prepared | None]] = {
    "PutItem": put,
    "DeleteItem": delete,
    "UpdateItem": update,
    "GetItem": get,
    "Query": query,
    "Scan": scan,
}
