"""Routing rules of custom domain names: by the path's beginning and by headers, in the order of their priorities. Pure.

https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-routing-rules.html
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from haar.services.apigateway.records import Doc

MODES = ("API_MAPPING_ONLY", "ROUTING_RULE_ONLY", "ROUTING_RULE_THEN_API_MAPPING")
"""Which of rules and mappings a domain name uses."""


class Matched(NamedTuple):
    """What a rule says of a request."""

    api_id: str
    stage: str
    rest: str
    """The path that the API sees."""
    base_path: str


def match(rules: tuple[Doc, ...], path: str, headers: Mapping[str, str]) -> Matched | None:
    """What the first rule whose conditions all hold says; `rules` are in order, `headers` by lower-case name."""
    for rule in rules:
        base: str | None = ""
        for condition in rule["Conditions"]:
            if "MatchBasePaths" in condition:
                base = _base(condition["MatchBasePaths"]["AnyOf"], path)
            elif not _headers(condition["MatchHeaders"]["AnyOf"], headers):
                base = None
            if base is None:
                break
        if base is not None:
            action = rule["Actions"][0]["InvokeApi"]
            strip = base if action.get("StripBasePath") else ""
            return Matched(action["ApiId"], action["Stage"], (path[len(strip) + 1 :] if strip else path) or "/", strip)
    return None


def _base(wanted: list[str], path: str) -> str | None:
    """The longest of the base paths that the path begins with."""
    found = [base for base in wanted if path == f"/{base}" or path.startswith(f"/{base}/")]
    return max(found, key=len) if found else None


def _headers(wanted: list[Doc], headers: Mapping[str, str]) -> bool:
    """Whether one of the headers is as its glob says, in which only stars are special."""
    for one in wanted:
        value = headers.get(one["Header"].lower())
        if value is not None and fnmatchcase(value, one["ValueGlob"].replace("[", "[[]").replace("?", "[?]")):
            return True
    return False
