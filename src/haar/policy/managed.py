"""AWS managed policies, from one data file; only what is asked for is parsed."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

PREFIX = "arn:aws:iam::aws:policy/"


class ManagedPolicy(msgspec.Struct, frozen=True):
    """An AWS managed policy in its default version."""

    name: str
    path: str
    version: str
    """Its default version's id (`v3`)."""
    created: str
    """When the policy was first there, ISO 8601."""
    updated: str
    """When the default version came."""
    document: msgspec.Raw

    @property
    def text(self) -> str:
        """The document as JSON."""
        return bytes(self.document).decode()


def find_managed(arn: str) -> ManagedPolicy | None:
    """The policy `arn:aws:iam::aws:policy/…`, or None."""
    raw = _raw().get(arn)
    return None if raw is None else msgspec.json.decode(raw, type=ManagedPolicy)


def managed_arns() -> Iterator[str]:
    """The ARNs of all of them, sorted."""
    return iter(sorted(_raw()))


@cache
def _raw() -> Mapping[str, Any]:
    """Every policy's own bytes by ARN, unparsed."""
    data = files("haar.policy").joinpath("managed_policies.json").read_bytes()
    return msgspec.json.decode(data, type=dict[str, msgspec.Raw])
