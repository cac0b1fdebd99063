"""Attribute values: DynamoDB-JSON (`{"S": "x"}`), checked and made canonical once, when they come in.

Canonical means: numbers as `numbers.normalise` has them, sets sorted, base64 padded. So two canonical values are equal exactly when
Python's `==` says so, and what is stored needs no further look.
"""

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Sized
from decimal import Decimal
from typing import Any

from haar.services.dynamodb import errors, numbers
from haar.services.dynamodb.limits import ATTRIBUTE_NAME_BYTES, ITEM_BYTES, NESTING

Value = dict[str, Any]
"""One attribute value: `{"S": "x"}`, `{"N": "1"}`, `{"B": base64}`, `{"SS": [...]}`, `{"M": {...}}`, `{"L": [...]}`, `{"BOOL": true}`."""
Item = dict[str, Value]

TYPES = frozenset(("S", "N", "B", "SS", "NS", "BS", "M", "L", "BOOL", "NULL"))
SETS = frozenset(("SS", "NS", "BS"))
TOO_LARGE = "Item size has exceeded the maximum allowed size"
TOO_DEEP = "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
LONG_NAME = f"Attribute name is too large, must be less than {ATTRIBUTE_NAME_BYTES + 1} bytes"
EMPTY = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
SEVERAL = "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"


def check_item(item: Any) -> int:
    """Makes the values of an item canonical, in place; answers the item's size in bytes as DynamoDB counts it."""
    if type(item) is not dict:
        raise errors.serialization(_found(item))
    size = 0
    for name, value in item.items():
        if type(value) is dict and len(value) == 1 and type(text := value.get("S")) is str:
            size += (len(name) if name.isascii() else len(name.encode())) + (len(text) if text.isascii() else len(utf8(text)))
        else:
            size += len(utf8(name)) + check(value, 1)
        if len(name) > ATTRIBUTE_NAME_BYTES // 4 and len(utf8(name)) > ATTRIBUTE_NAME_BYTES:
            raise errors.validation(LONG_NAME)
    return size


def check_name(name: str) -> int:
    """The bytes of an attribute's name. Raises ValidationException when there are none, or too many."""
    if not name:
        raise errors.nameless()
    return _name_size(name)


def _name_size(name: str) -> int:
    size = len(name) if name.isascii() else len(utf8(name))
    if size > ATTRIBUTE_NAME_BYTES:
        raise errors.validation(LONG_NAME)
    return size


def check(value: Any, depth: int = 1) -> int:
    """Makes one value canonical, in place; answers its size. Raises ValidationException or SerializationException."""
    if type(value) is not dict:
        raise errors.serialization(_found(value))
    if len(value) == 1:
        ((kind, content),) = value.items()
        if kind in TYPES and content is not None:
            return _CHECKS[kind](value, content, depth)
    kinds = [kind for kind in value if kind in TYPES and value[kind] is not None]
    if len(kinds) != 1:
        _check_several(value, kinds, depth)
    if len(value) != 1:
        # Members that the model does not have, and nulls, count as not sent.
        kept = value[kinds[0]]
        value.clear()
        value[kinds[0]] = kept
    return _CHECKS[kinds[0]](value, value[kinds[0]], depth)


def check_nesting(value: Value, depth: int = 1) -> None:
    """Raises ValidationException when a canonical value is nested too deeply: paths can put one into another."""
    kind, content = next(iter(value.items()))
    if kind not in ("L", "M") or not content:
        return
    if depth >= NESTING:
        raise errors.validation(TOO_DEEP)
    for each in content if kind == "L" else content.values():
        check_nesting(each, depth + 1)


def _check_several(value: Value, kinds: list[str], depth: int) -> None:
    if not kinds:
        raise errors.validation(EMPTY)
    for kind in kinds:
        _CHECKS[kind]({kind: value[kind]}, value[kind], depth)
    raise errors.validation(SEVERAL)


def utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise errors.serialization("Unable to parse: text is not Unicode") from None


def _found(value: Any) -> str:
    if type(value) is list:
        return "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeValue"
    return "Start of structure or map found where not expected" if type(value) is dict else "Unexpected value type in payload"


def _not_convertible(value: Any, kind: str) -> Exception:
    """A JSON value of the wrong kind, in the words of AWS's parser."""
    if type(value) is dict:
        return errors.serialization("Start of structure or map found where not expected")
    if kind == "Blob":
        wrong = "Unrecognized collection type class java.nio.ByteBuffer"
        return errors.serialization(wrong if type(value) is list else "only base-64-encoded strings are convertible to bytes")
    if type(value) is list:
        return errors.serialization(f"Unrecognized collection type class java.lang.{kind}")
    if type(value) is str:
        return errors.serialization("Unexpected token received from parser")
    found = {True: "TRUE_VALUE", False: "FALSE_VALUE"}[value] if type(value) is bool else "NUMBER_VALUE"
    return errors.serialization(f"{found} cannot be converted to {kind}")


def _string(value: Value, text: Any, depth: int) -> int:
    if type(text) is not str:
        raise _not_convertible(text, "String")
    return len(text) if text.isascii() else len(utf8(text))


def _number(value: Value, text: Any, depth: int) -> int:
    if type(text) is not str:
        raise _not_convertible(text, "String")
    value["N"] = plain = numbers.normalise(text)
    return numbers.size(plain)


def _decoded(text: Any) -> bytes:
    if type(text) is not str:
        raise _not_convertible(text, "Blob")
    if len(text) % 4:
        raise errors.serialization(f"Base64 encoded length is expected a multiple of 4 bytes but found: {len(text)}")
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        wrong = re.search(r"[^a-zA-Z0-9+/=]|=(?=[^=])", text)
        said = f"Invalid Base64 character: '{wrong[0]}'" if wrong else "Invalid last non-pad Base64 character dectected"
        raise errors.serialization(said) from None


def _binary(value: Value, text: Any, depth: int) -> int:
    data = _decoded(text)
    value["B"] = b64encode(data).decode()
    return len(data)


def _boolean(value: Value, flag: Any, depth: int) -> int:
    if type(flag) is not bool:
        raise _not_convertible(flag, "Boolean")
    return 1


def _null(value: Value, flag: Any, depth: int) -> int:
    if type(flag) is not bool:
        raise _not_convertible(flag, "Boolean")
    if not flag:
        raise errors.invalid("Null attribute value types must have the value of true")
    return 1


def _listed(values: Any) -> list[Any]:
    if type(values) is not list:
        raise errors.serialization(
            "Start of structure or map found where not expected" if type(values) is dict else "Unexpected field type"
        )
    _check_count(values)
    return values


def _check_count(content: Sized) -> None:
    """Refuses what has more elements than an item can have bytes without looking at them."""
    if len(content) > ITEM_BYTES:
        raise errors.validation(TOO_LARGE)


def _strings(value: Value, texts: Any, depth: int) -> int:
    size = sum(_string(value, text, depth) for text in _listed(texts) if text is not None)
    if not texts:
        raise errors.invalid("An string set  may not be empty")
    if None in texts:
        raise errors.invalid("An string set may not have a null string as a member")
    if len(set(texts)) != len(texts):
        raise errors.invalid(f"Input collection [{', '.join(texts)}] contains duplicates.")
    value["SS"] = sorted(texts)
    return size


def _numbers(value: Value, texts: Any, depth: int) -> int:
    if any(type(text) is not str for text in _listed(texts)):
        wrong = next((text for text in texts if type(text) is not str and text is not None), None)
        raise errors.invalid("An number set may not have a null number as a member") if wrong is None else _not_convertible(wrong, "String")
    if not texts:
        raise errors.invalid("An number set  may not be empty")
    plain = [numbers.normalise(text) for text in texts]
    if len(set(plain)) != len(plain):
        raise errors.validation("Input collection contains duplicates")
    value["NS"] = sorted(plain, key=Decimal)
    return sum(map(numbers.size, plain))


def _binaries(value: Value, texts: Any, depth: int) -> int:
    data = [_decoded(text) for text in _listed(texts) if text is not None]
    if not texts:
        raise errors.invalid("Binary sets should not be empty")
    if None in texts:
        raise errors.invalid("Binary sets may not contain null or empty values")
    if len(set(data)) != len(data):
        raise errors.invalid(f"Input collection [{', '.join(texts)}]of type BS contains duplicates.")
    value["BS"] = [b64encode(each).decode() for each in sorted(data)]
    return sum(map(len, data))


def _list(value: Value, values: Any, depth: int) -> int:
    if _listed(values) and depth >= NESTING:
        raise errors.validation(TOO_DEEP)
    return 3 + sum(1 + check(each, depth + 1) for each in values)


def _map(value: Value, values: Any, depth: int) -> int:
    if type(values) is not dict:
        raise errors.serialization(_found(values) if type(values) is list else "Unexpected field type")
    _check_count(values)
    if depth >= NESTING and values:
        raise errors.validation(TOO_DEEP)
    return 3 + sum(1 + _name_size(name) + check(each, depth + 1) for name, each in values.items())


_CHECKS: dict[str, Callable[[Value, Any, int], int]] = {
    "S": _string,
    "N": _number,
    "B": _binary,
    "BOOL": _boolean,
    "NULL": _null,
    "SS": _strings,
    "NS": _numbers,
    "BS": _binaries,
    "L": _list,
    "M": _map,
}


def kind_of(value: Value) -> str:
    """The type of a canonical value: `S`, `N`, …"""
    return next(iter(value))


def item_size(item: Item) -> int:
    """The size of a canonical item in bytes, as DynamoDB counts it."""
    return sum(len(name.encode()) + value_size(value) for name, value in item.items())


def value_size(value: Value) -> int:
    kind, content = next(iter(value.items()))
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        return numbers.size(content)
    if kind == "B":
        return binary_size(content)
    if kind in ("BOOL", "NULL"):
        return 1
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + value_size(each) for name, each in content.items())
    if kind == "L":
        return 3 + sum(1 + value_size(each) for each in content)
    return sum(value_size({kind[0]: each}) for each in content)


def binary_size(text: str) -> int:
    """Bytes of canonical base64 text."""
    return len(text) * 3 // 4 - text.count("=", -2)


def order_key(kind: str, content: Any) -> Any:
    """What a scalar is ordered by: UTF-8 bytes, exact numbers, bytes. Code points order as UTF-8 does."""
    if kind == "N":
        return Decimal(content)
    return b64decode(content) if kind == "B" else content
