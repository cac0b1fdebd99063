"""botocore's protocol test vectors, as cases for our codecs."""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.support.botocore_sdist import sdist


@dataclass(frozen=True)
class Vector:
    """One case of one suite, with the model that it is of."""

    name: str
    """`rest-json/AllQueryStringTypes`, with a number where cases have no name of their own."""
    file: str
    description: dict[str, Any]
    """A service description with this case's operation as its only one."""
    operation: str
    case: dict[str, Any]


def vectors(direction: str, protocols: frozenset[str]) -> Iterator[Vector]:
    """All cases of a direction (`input`, `output`), of botocore's newer and older suites, that are of these protocols."""
    root = sdist() / "tests" / "unit" / "protocols"
    for prefix, folder in (("", root / direction), ("legacy-", root / "legacy" / direction)):
        for path in sorted(folder.glob("*.json")):
            for suite_number, suite in enumerate(json.loads(path.read_text())):
                if suite["metadata"]["protocol"] in protocols:
                    yield from _cases(suite, f"{prefix}{path.stem}", suite_number)


def _cases(suite: dict[str, Any], file: str, number: int) -> Iterator[Vector]:
    for position, case in enumerate(suite["cases"]):
        operation = case["given"].get("name", "OperationName")
        description = {
            "metadata": {"apiVersion": "2014-01-01", **suite["metadata"]},
            "shapes": copy.deepcopy(suite["shapes"]),
            "operations": {operation: {"name": operation, "http": {"method": "POST", "requestUri": "/"}, **copy.deepcopy(case["given"])}},
        }
        name = case.get("id") or f"{number}.{position}"
        yield Vector(f"{file}/{name}", file, description, operation, copy.deepcopy(case))
