"""What a body is said to lack: the words of AWS's JSON schema validator, an object before what is in it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jsonschema_rs
import orjson


def complain(errors: Iterable[jsonschema_rs.ValidationError], document: Any) -> list[str]:
    """A sentence for each error in a document, by place and keyword; the properties that an object lacks are one."""
    said: list[tuple[tuple[str, ...], str, str]] = []
    missing: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for error in errors:
        place, rule = tuple(map(str, error.instance_path)), tuple(map(str, error.schema_path))
        if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Required) and rule[-1] == "required":
            missing.setdefault((place, rule), []).append(error.kind.property)
        elif isinstance(error.kind, jsonschema_rs.ValidationErrorKind.FalseSchema) and rule[-1] == "additionalProperties":
            # A schema that allows no property at all: which one it was is not said.
            said.append((place, rule[-1], _unexpected(list(_at(document, error.instance_path)))))
        else:
            said.append((place, error.kind.name, _sentence(error)))
    for (place, _), names in missing.items():
        said.append((place, "required", f"object has missing required properties ({_json(sorted(names))})"))
    return [sentence for _, _, sentence in sorted(said)]


def _sentence(error: jsonschema_rs.ValidationError) -> str:
    write = _SENTENCES.get(error.kind.name)
    return error.message if write is None else write(error.kind, error.instance)


def _at(document: Any, path: Iterable[str | int]) -> Any:
    for part in path:
        document = document[part]
    return document


def _unexpected(names: list[str]) -> str:
    return f"object instance has properties which are not allowed by the schema: {_json(sorted(names))}"


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    names = {dict: "object", list: "array", str: "string", int: "integer", float: "number"}
    return names.get(type(value), "null")


def _type(kind: Any, found: Any) -> str:
    allowed = {*kind.types, *(["integer"] if "number" in kind.types else [])}
    return f"instance type ({_type_of(found)}) does not match any allowed primitive type (allowed: {_json(sorted(allowed))})"


def _minimum(kind: Any, found: Any) -> str:
    if found == kind.limit:
        return f"numeric instance is not strictly greater than the required minimum {_json(kind.limit)}"
    return f"numeric instance is lower than the required minimum (minimum: {_json(kind.limit)}, found: {_json(found)})"


def _maximum(kind: Any, found: Any) -> str:
    if found == kind.limit:
        return f"numeric instance is not strictly lower than the required maximum {_json(kind.limit)}"
    return f"numeric instance is greater than the required maximum (maximum: {_json(kind.limit)}, found: {_json(found)})"


def _one_of(kind: Any, _: Any) -> str:
    matched = sum(1 for problems in kind.context if not problems)
    return f"instance failed to match exactly one schema (matched {matched} out of {len(kind.context)})"


def _format(kind: Any, found: Any) -> str:
    what = "input string" if kind.format == "uuid" else "string"
    return f'{what} "{found}" {_FORMATS.get(kind.format, f"is no {kind.format}")}'


_FORMATS = {
    "date-time": "is invalid against requested date format(s) [yyyy-MM-dd'T'HH:mm:ssZ, yyyy-MM-dd'T'HH:mm:ss.[0-9]{1,12}Z]",
    "email": "is not a valid email address",
    "hostname": "is not a valid hostname",
    "ipv4": "is not a valid IPv4 address",
    "ipv6": "is not a valid IPv6 address",
    "uri": "is not a valid URI",
    "uuid": "is not a valid UUID",
}

_SENTENCES: Mapping[str, Callable[[Any, Any], str]] = {
    "type": _type,
    "enum": lambda kind, found: f"instance value ({_json(found)}) not found in enum (possible values: {_json(kind.options)})",
    "minimum": _minimum,
    "exclusiveMinimum": _minimum,
    "maximum": _maximum,
    "exclusiveMaximum": _maximum,
    "minLength": lambda kind, found: f'string "{found}" is too short (length: {len(found)}, required minimum: {kind.limit})',
    "maxLength": lambda kind, found: f'string "{found}" is too long (length: {len(found)}, maximum allowed: {kind.limit})',
    "pattern": lambda kind, found: f'ECMA 262 regex "{kind.pattern}" does not match input string "{found}"',
    "minItems": lambda kind, found: f"array is too short: must have at least {kind.limit} elements but instance has {len(found)} elements",
    "maxItems": lambda kind, found: f"array is too long: must have at most {kind.limit} elements but instance has {len(found)} elements",
    "uniqueItems": lambda kind, found: "array must not contain duplicate elements",
    "minProperties": lambda kind, found: f"object has too few properties (found {len(found)} but schema requires at least {kind.limit})",
    "maxProperties": lambda kind, found: f"object has too many properties (found {len(found)} but schema requires at most {kind.limit})",
    "additionalProperties": lambda kind, found: _unexpected(kind.unexpected),
    "additionalItems": lambda kind, found: f"schema only allows {kind.limit} elements in array but instance has {len(found)} elements",
    "format": _format,
    "multipleOf": lambda kind, found: f"remainder of division is not zero ({_json(found)} / {_json(kind.multiple_of)})",
    "oneOf": _one_of,
    "anyOf": lambda kind, found: f"instance failed to match at least one required schema among {len(kind.context)}",
    "not": lambda kind, found: "instance matched a schema which it should not have",
}
