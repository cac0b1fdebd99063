"""DynamoDB's numbers: up to 38 significant digits, magnitudes from 1E-130 to 9.99…E+125, exact.

A number is kept as the text that DynamoDB answers: plain decimal notation without exponent, leading or trailing zeros.
Two numbers are equal exactly when their texts are.
"""

import re
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_UP, Context, Decimal, Inexact, InvalidOperation, Overflow

from haar.services.dynamodb import errors
from haar.services.dynamodb.limits import NUMBER_DIGITS, NUMBER_MAX_EXPONENT, NUMBER_MIN_EXPONENT

NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
PLAIN_INTEGER = re.compile(r"-?[1-9][0-9]{0,37}|0", re.ASCII)
PLAIN_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]*[1-9]", re.ASCII)
LONGEST = 1000
"""Characters of a number's text that are looked at; no number that can be stored needs as many."""
SHORT = 36
"""Characters of integers whose sum certainly has no more digits than a number may have."""
EXPONENT_DIGITS = 6
"""Longer exponents are beyond the range whatever the digits are."""

_EXACT = Context(prec=1200, rounding=ROUND_HALF_UP, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[InvalidOperation, Overflow, Inexact])


def normalise(text: str) -> str:
    """The canonical text of a number. Raises ValidationException for what is none, or beyond the range or precision."""
    if PLAIN_INTEGER.fullmatch(text) or (len(text) <= NUMBER_DIGITS and PLAIN_DECIMAL.fullmatch(text)):
        return text
    if not text:
        raise errors.validation("The parameter cannot be converted to a numeric value")
    if len(text) > LONGEST or not NUMBER.fullmatch(text):
        raise errors.validation(f"The parameter cannot be converted to a numeric value: {text}")
    digits, _, exponent = text.lower().partition("e")
    if not digits.strip("+-0."):
        return "0"
    if len(exponent.lstrip("+-0")) > EXPONENT_DIGITS:
        raise _underflow() if exponent.startswith("-") else _overflow()
    return canonical(_EXACT.create_decimal(text))


def canonical(number: Decimal) -> str:
    """The canonical text of a Decimal; raises ValidationException beyond DynamoDB's range and precision."""
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits)).lstrip("0")
    significant = text.rstrip("0")
    if not significant:
        return "0"
    exponent += len(text) - len(significant)
    magnitude = exponent + len(significant) - 1
    if magnitude > NUMBER_MAX_EXPONENT:
        raise _overflow()
    if magnitude < NUMBER_MIN_EXPONENT:
        raise _underflow()
    if len(significant) > NUMBER_DIGITS:
        raise errors.validation("Attempting to store more than 38 significant digits in a Number")
    if exponent >= 0:
        plain = significant + "0" * exponent
    elif magnitude >= 0:
        plain = significant[:exponent] + "." + significant[exponent:]
    else:
        plain = "0." + "0" * (-magnitude - 1) + significant
    return "-" + plain if sign else plain


def add(left: str, right: str) -> str:
    if len(left) <= SHORT and len(right) <= SHORT and PLAIN_INTEGER.fullmatch(left) and PLAIN_INTEGER.fullmatch(right):
        return str(int(left) + int(right))
    return canonical(_EXACT.add(Decimal(left), Decimal(right)))


def subtract(left: str, right: str) -> str:
    return canonical(_EXACT.subtract(Decimal(left), Decimal(right)))


def size(text: str) -> int:
    """Bytes that a canonical number counts for: one, and one for each pair of digits around the decimal point; one more below zero."""
    if text == "0":
        return 1
    if text.isdigit() and text[-1] != "0":
        return 1 + (len(text) + 1) // 2
    negative = text[0] == "-"
    whole, _, fraction = text.removeprefix("-").partition(".")
    whole = whole.lstrip("0")
    if len(whole) % 2:
        whole = "0" + whole
    if len(fraction) % 2:
        fraction += "0"
    pairs = whole + fraction
    first, last = 0, len(pairs)
    while pairs[first : first + 2] == "00":
        first += 2
    while pairs[last - 2 : last] == "00":
        last -= 2
    return min(1 + (last - first) // 2 + negative, 21)


def encode(text: str) -> bytes:
    """Bytes whose order is the numbers' order and that end themselves, so that another key may follow."""
    if text == "0":
        return b"\x01"
    negative = text[0] == "-"
    whole, _, fraction = text.removeprefix("-").partition(".")
    if whole == "0":
        digits = fraction.lstrip("0")
        magnitude = len(digits) - len(fraction) - 1
    else:
        digits = (whole + fraction).rstrip("0")
        magnitude = len(whole) - 1
    if len(digits) % 2:
        digits += "0"
    body = bytes([magnitude - NUMBER_MIN_EXPONENT, *(int(digits[at : at + 2]) + 1 for at in range(0, len(digits), 2)), 0])
    if negative:
        return b"\x00" + bytes(255 - byte for byte in body)
    return b"\x02" + body


def decode(data: bytes, at: int = 0) -> tuple[str, int]:
    """The number that `encode` wrote at `at`, and where what follows it begins."""
    kind = data[at]
    if kind == 1:
        return "0", at + 1
    negative = kind == 0
    flip = 255 if negative else 0
    magnitude = (data[at + 1] ^ flip) + NUMBER_MIN_EXPONENT
    end = data.index(flip, at + 2)
    digits = "".join(f"{(byte ^ flip) - 1:02d}" for byte in data[at + 2 : end])
    return canonical(Decimal((int(negative), tuple(map(int, digits)), magnitude - len(digits) + 1))), end + 1


def _overflow() -> Exception:
    return errors.validation("Number overflow. Attempting to store a number with magnitude larger than supported range")


def _underflow() -> Exception:
    return errors.validation("Number underflow. Attempting to store a number with magnitude smaller than supported range")
