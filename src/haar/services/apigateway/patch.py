"""Patch operations: `{"op": "replace", "path": "/name", "value": "x"}` on a record. Pure.

What may be patched is declared as a mapping from path to rule. Records of different kinds refuse a path that they do not have in
different words, as on AWS: `Style.PLAIN` is that of APIs, methods and integrations, `Style.LISTED` that of resources, models and
validators, which name the paths that would do.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import orjson

from haar.services.apigateway import errors
from haar.services.apigateway.records import Doc

Convert = Callable[[str | None], Any]
"""From the operation's text (or none) to what is kept; None means that the member goes away."""


class Style(Enum):
    PLAIN = 1
    LISTED = 2


def text(value: str | None) -> str | None:
    return value


def text_or_none(value: str | None) -> str | None:
    """Text of which an empty one is none."""
    return value or None


def boolean(value: str | None) -> bool:
    return (value or "").lower() == "true"


def integer(message: str = "Invalid integer specified", low: int = 0, high: int = 2**31 - 1, optional: bool = False) -> Convert:
    def convert(value: str | None) -> int | None:
        if optional and value in (None, ""):
            return None
        try:
            number = int(value or "")
        except ValueError:
            raise errors.bad_request(message) from None
        if not low <= number <= high:
            raise errors.bad_request(message)
        return number

    return convert


def number(message: str = "Invalid number specified") -> Convert:
    def convert(value: str | None) -> float:
        try:
            return float(value or "")
        except ValueError:
            raise errors.bad_request(message) from None

    return convert


def json_map(value: str | None) -> Doc:
    """A whole map, written as JSON."""
    try:
        found = orjson.loads(value or "")
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise errors.bad_request("Invalid value specified. Must be a JSON object")
    return found


def one_of(message: str, *allowed: str) -> Convert:
    def convert(value: str | None) -> str:
        if value not in allowed:
            raise errors.bad_request(message)
        return value

    return convert


@dataclass(frozen=True, slots=True)
class Value:
    """A member. `at` is where it is kept, when that is not the path."""

    convert: Convert = text
    ops: tuple[str, ...] = ("replace",)
    at: str = ""


@dataclass(frozen=True, slots=True)
class Entries:
    """A map, patched entry by entry: `/requestParameters/NAME`."""

    convert: Convert = text
    missing: str = "Invalid parameter name specified"
    ops: tuple[str, ...] = ("add", "replace", "remove")
    at: str = ""
    fresh: bool = False
    """Whether `replace` also adds."""


@dataclass(frozen=True, slots=True)
class Members:
    """A list of distinct texts, patched by member: `/binaryMediaTypes/image~1png`."""

    at: str = ""
    ops: tuple[str, ...] = ("add", "replace", "remove")
    by_value: bool = False
    """Whether the operation's value may be the member: `/authorizationScopes` with the value `read`."""


Rule = Value | Entries | Members
Rules = Mapping[str, Rule]


def unescape(segment: str) -> str:
    return segment.replace("~1", "/").replace("~0", "~")


def apply(document: Doc, operations: Sequence[Doc], rules: Rules, style: Style = Style.PLAIN) -> Doc:
    """The document with all operations applied in order; the one given stays as it is. Raises BadRequest- and NotFoundException."""
    changed = copy.deepcopy(document)
    for operation in operations:
        op, path = operation.get("op", ""), operation.get("path")
        _apply_one(changed, op, path, operation.get("value"), rules, style)
    return changed


def _apply_one(document: Doc, op: str, path: str | None, value: str | None, rules: Rules, style: Style) -> None:
    found = _find(path, rules)
    if style is Style.LISTED:
        _check_listed(op, path, found, rules)
    if found is None:
        raise errors.bad_request(f"Invalid patch path {path or 'null'}")
    rule, prefix, entry = found
    if isinstance(rule, Members) and not entry:
        entry = value or ""
    if op not in rule.ops:
        if len(rule.ops) == 1:
            raise errors.bad_request(f"Invalid patch operation specified. Must be one of: [{rule.ops[0]}]")
        raise errors.bad_request("Invalid patch operation specified. Must be " + "|".join(f"'{one}'" for one in rule.ops))
    holder, name = _holder(document, rule.at or prefix)
    if isinstance(rule, Value):
        kept = None if op == "remove" else rule.convert(value)
        if kept is None:
            holder.pop(name, None)
        else:
            holder[name] = kept
    elif isinstance(rule, Entries):
        _patch_entry(holder, name, op, entry, value, rule)
    else:
        _patch_member(holder, name, op, entry, value)


def _check_listed(op: str, path: str | None, found: object, rules: Rules) -> None:
    supported = {one for rule in rules.values() for one in rule.ops}
    if op not in supported:
        raise errors.bad_request(f"Invalid patch path  '{path}' specified for op '{op}'. Please choose supported operations")
    if found is None:
        raise errors.bad_request(f"Invalid patch path  '{path}' specified for op '{op}'. Must be one of: [{', '.join(rules)}]")


def _find(path: str | None, rules: Rules) -> tuple[Rule, str, str] | None:
    """The rule for a path, the path that it stands at, and the entry's name for a map or a list."""
    if not path:
        return None
    rule = rules.get(path)
    if isinstance(rule, Value) or (isinstance(rule, Members) and rule.by_value):
        return rule, path, ""
    prefix, _, last = path.rpartition("/")
    rule = rules.get(prefix)
    if last and isinstance(rule, Entries | Members):
        return rule, prefix, unescape(last)
    return None


def _holder(document: Doc, path: str) -> tuple[Doc, str]:
    *parents, name = path.lstrip("/").split("/")
    for parent in parents:
        document = document.setdefault(parent, {})
    return document, name


def _patch_entry(holder: Doc, name: str, op: str, entry: str, value: str | None, rule: Entries) -> None:
    entries: Doc = holder.get(name) or {}
    kept = None if op == "remove" else rule.convert(value)
    if op != "remove" and kept is None:
        raise errors.bad_request(f"Invalid null or empty value in {name}")
    if entry not in entries and op != "add" and not (rule.fresh and op == "replace"):
        raise errors.not_found(rule.missing)
    if op == "remove":
        del entries[entry]
    else:
        entries[entry] = kept
    if entries:
        holder[name] = entries
    else:
        holder.pop(name, None)


def _patch_member(holder: Doc, name: str, op: str, entry: str, value: str | None) -> None:
    members: list[str] = holder.get(name) or []
    if op == "add":
        if entry not in members:
            members.append(entry)
    elif op == "remove":
        if entry not in members:
            raise errors.bad_request(f"Invalid patch path /{name}/{entry}")
        members.remove(entry)
    else:
        members = [one for one in members if one != entry] + ([value] if value else [])
    if members:
        holder[name] = members
    else:
        holder.pop(name, None)
