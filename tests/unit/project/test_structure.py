"""The rules of the structure: which way imports point, how large a file and a function may be, what a check may be told."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "src" / "haar"
BASE = ("__init__", "clock", "config", "eager", "tls")
"""The modules that every room may import."""
MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 70
UNREASONED = re.compile(r"# (?:noqa: [A-Z0-9, ]+|type: ignore\[[^]]*\])$")
"""An exception from a check at the end of its line: nothing says why."""

# a room, and the rooms that it may import
MAY_IMPORT = {
    "cli": {"platform", "gateway", "services", "execution", "store", "policy", "auth", "wire", "base", "cli"},
    "platform": {"gateway", "services", "execution", "store", "policy", "auth", "wire", "base"},
    "gateway": {"services", "policy", "auth", "wire", "store", "base", "gateway"},
    "services": {"execution", "policy", "auth", "wire", "store", "base", "services"},
    "execution": {"store", "wire", "base", "execution"},
    "store": {"base", "store"},
    "auth": {"wire", "base", "auth"},
    "policy": {"policy", "base"},
    "wire": {"wire", "base"},
    "base": {"base"},
}


def room(path: Path) -> str:
    parts = path.relative_to(SOURCE).parts
    if len(parts) == 1:
        return {"platform.py": "platform", "__main__.py": "cli"}.get(parts[0]) or {f"{name}.py": "base" for name in BASE}[parts[0]]
    return parts[0]


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of_module(name: str) -> str | None:
    parts = name.split(".")
    if parts[0] != "haar" or len(parts) == 1:
        return None
    return "base" if parts[1] in (*BASE, "__version__") else parts[1]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_one_way(path: Path) -> None:
    here = room(path)
    for name in imports(path):
        there = room_of_module(name)
        assert there is None or there in MAY_IMPORT[here], f"{here} may not import {name}"


def test_a_service_uses_another_through_its_public_functions_only() -> None:
    for path in (SOURCE / "services").rglob("*.py"):
        parts = path.relative_to(SOURCE / "services").parts
        if len(parts) == 1:
            continue
        for name in imports(path):
            if name.startswith("haar.services."):
                other = name.split(".")[2]
                if other not in (parts[0], "service", "registry", "addresses"):
                    assert name.split(".")[3:4] == ["public"] or name == f"haar.services.{other}", f"{path}: {name}"


def test_files_are_short() -> None:
    long = {str(path.relative_to(SOURCE)): size for path in modules() if (size := len(path.read_text().splitlines())) > MAX_FILE_LINES}
    assert not long


def test_functions_are_short() -> None:
    long = {}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or 0) - node.lineno + 1
                if size > MAX_FUNCTION_LINES:
                    long[f"{path.relative_to(SOURCE)}:{node.name}"] = size
    assert not long


def test_exceptions_from_checks_say_why() -> None:
    lines = ((path, number, line) for path in modules() for number, line in enumerate(path.read_text().splitlines(), 1))
    assert [f"{path.relative_to(SOURCE)}:{number}" for path, number, line in lines if UNREASONED.search(line)] == []
