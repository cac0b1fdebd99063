"""Where attribute values are in requests."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from haar.services.dynamodb import values
from haar.wire.errors import ServiceError

_MAPS = ("Item", "Key", "ExpressionAttributeValues", "ExclusiveStartKey")
_CONDITIONS = ("Expected", "AttributeUpdates", "KeyConditions", "QueryFilter", "ScanFilter")


def check_readable(input: Mapping[str, Any]) -> None:
    """Raises SerializationException for the first attribute value that is not of its shape."""
    for value in attribute_values(input):
        try:
            values.check(value)
        except ServiceError as error:
            if error.code == "Serialization":
                raise


def attribute_values(input: Mapping[str, Any]) -> Iterator[Any]:
    """Every attribute value of a request, of its batch or of its transaction."""
    for name in _MAPS:
        yield from _of_map(input.get(name))
    for name in _CONDITIONS:
        for condition in _of_map(input.get(name)):
            if type(condition) is dict:
                yield from _present([condition.get("Value"), *(condition.get("AttributeValueList") or ())])
    for requests in _of_map(input.get("RequestItems")):
        if type(requests) is dict:
            for key in requests.get("Keys") or ():
                yield from _of_map(key)
        elif type(requests) is list:
            for request in requests:
                for part in _of_map(request):
                    if type(part) is dict:
                        yield from attribute_values(part)
    for statement in (input, *(input.get("Statements") or ()), *(input.get("TransactStatements") or ())):
        yield from _present(statement.get("Parameters") or ())
    for action in input.get("TransactItems") or ():
        for part in _of_map(action):
            if type(part) is dict:
                yield from attribute_values(part)


def _of_map(given: Any) -> Iterable[Any]:
    return given.values() if type(given) is dict else ()


def _present(given: Iterable[Any]) -> Iterator[Any]:
    return (each for each in given if each is not None)
