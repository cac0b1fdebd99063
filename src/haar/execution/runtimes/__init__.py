"""Which installed interpreter runs a runtime identifier."""

import functools
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

HERE = Path(__file__).parent
START = HERE / "start.py"
SUPERVISE = HERE / "supervise.py"
NODE = HERE / "node"
NODE_MINIMUM = 18
DEFAULT = f"python{sys.version_info.major}.{sys.version_info.minor}"
"""The runtime that needs no more than haar itself does."""


class UnknownRuntime(Exception):
    """No interpreter here runs this identifier; the message says which would be needed."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """An installed interpreter and what it stands for."""

    kind: Literal["python", "node", "provided", "image"]
    version: str
    """What is installed: `3.11`, `20`; empty for `provided`."""
    exact: bool
    """Whether the identifier asked for just this version."""
    note: str = ""
    """What to tell the function's owner when it is not exact."""


IMAGE = Runtime("image", "", exact=True)
"""What a container image runs on: itself."""


def resolve(identifier: str) -> Runtime:
    """The runtime for an identifier as configured (`python3.12`, `nodejs20.x`, `provided.al2023`). Raises UnknownRuntime."""
    if match := re.fullmatch(r"python(\d+\.\d+)", identifier):
        installed = f"{sys.version_info.major}.{sys.version_info.minor}"
        return _stand_in("python", "Python", match[1], installed, identifier)
    if match := re.fullmatch(r"nodejs(\d*)(?:\.x|\.\d+)?(?:-edge)?", identifier):
        installed = node_version().partition(".")[0]
        return _stand_in("node", "Node.js", match[1] or "0", installed, identifier)
    if re.fullmatch(r"provided(\.al2|\.al2023)?|go1\.x", identifier):
        return Runtime("provided", "", exact=True)
    raise UnknownRuntime(f"The runtime {identifier} is not installed here. haar runs python3.*, nodejs* and provided.*")


def _stand_in(kind: Literal["python", "node"], language: str, asked: str, installed: str, identifier: str) -> Runtime:
    if asked == installed:
        return Runtime(kind, installed, exact=True)
    note = f"{identifier} runs on {language} {installed}, the version that is installed here"
    return Runtime(kind, installed, exact=False, note=note)


def python() -> Path:
    """The interpreter that Python functions run on: the one below haar's own virtual environment."""
    return Path(sys.executable).resolve()


def python_prefix() -> Path:
    """The directory that holds that interpreter and its library."""
    return Path(sys.base_prefix).resolve()


@functools.cache
def node() -> Path | None:
    """The Node.js interpreter, or None."""
    found = shutil.which("node")
    return Path(found).resolve() if found else None


@functools.cache
def node_version() -> str:
    """The version of Node.js (`20.20.2`). Raises UnknownRuntime when there is none that can be used."""
    path = node()
    if path is None:
        raise UnknownRuntime(f"Node.js is not installed here: install Node.js {NODE_MINIMUM} or newer, then start haar again")
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=False).stdout.strip()
    version = answer.removeprefix("v")
    if not version or int(version.partition(".")[0]) < NODE_MINIMUM:
        raise UnknownRuntime(f"{path} is Node.js {version or '?'}: version {NODE_MINIMUM} or newer is needed")
    return version
