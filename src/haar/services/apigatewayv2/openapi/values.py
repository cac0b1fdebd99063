"""Values of a definition as API Gateway's members have them: texts, numbers, lists, maps. Each raises BadRequestException for another."""

from typing import Any

from haar.services.apigatewayv2 import errors


def text(value: Any) -> str:
    if isinstance(value, dict | list) or value is None:
        raise errors.bad_request(f"Invalid value, a text is expected: {value}")
    return str(value)


def number(value: Any) -> int:
    if isinstance(value, bool) or not str(value).isdecimal():
        raise errors.bad_request(f"Invalid value, a number is expected: {value}")
    return int(value)


def boolean(value: Any) -> bool:
    said = str(value).lower()
    if said not in ("true", "false"):
        raise errors.bad_request(f"Invalid value, true or false is expected: {value}")
    return said == "true"


def texts(value: Any) -> list[str]:
    """A list, or a text of values with commas between them."""
    if isinstance(value, list):
        return [text(one) for one in value]
    return [one.strip() for one in text(value).split(",")]


def mapping(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise errors.bad_request(f"Invalid value, an object is expected: {value}")
    return {name: text(one) for name, one in value.items()}


def mappings(value: Any) -> dict[str, dict[str, str]]:
    if not isinstance(value, dict):
        raise errors.bad_request(f"Invalid value, an object is expected: {value}")
    return {name: mapping(one) for name, one in value.items()}
