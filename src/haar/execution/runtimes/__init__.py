"""Which installed interpreter runs a runtime identifier."""

import contextlib
import functools
import hashlib
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from haar.execution.runtimes import java

HERE = Path(__file__).parent
START = HERE / "start.py"
SUPERVISE = HERE / "supervise.py"
SNAPSHOT = HERE / "haar_snapshot.py"
RESTORE = HERE / "haar_restore.py"
NODE = HERE / "node"
NODE_MINIMUM = 18
RUBY = HERE / "ruby"
JAVA = HERE / "java"
DEFAULT = f"python{sys.version_info.major}.{sys.version_info.minor}"
"""The runtime that needs no more than haar itself does."""


Kind = Literal["python", "node", "ruby", "java", "provided", "image"]


class UnknownRuntime(Exception):
    """No interpreter here runs this identifier; the message says which would be needed."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """An installed interpreter and what it stands for."""

    kind: Kind
    version: str
    """What is installed: `3.11`, `20`; empty for `provided`."""
    exact: bool
    """Whether the identifier asked for just this version."""
    note: str = ""
    """What to tell the function's owner when it is not exact."""


IMAGE = Runtime("image", "", exact=True)
"""What a container image runs on: itself."""


def version_of(identifier: str, runtime: Runtime, region: str) -> tuple[str, str]:
    """What the version of a runtime is called, and its ARN."""
    version = f"{identifier.removesuffix('.x')}.haar" if runtime.kind == "provided" else f"{runtime.kind}:{runtime.version}.haar"
    return version, f"arn:aws:lambda:{region}::runtime:{hashlib.sha256(version.encode()).hexdigest()}"


def resolve(identifier: str) -> Runtime:
    """The runtime for an identifier as configured (`python3.12`, `nodejs20.x`, `provided.al2023`). Raises UnknownRuntime."""
    if match := re.fullmatch(r"python(\d+\.\d+)", identifier):
        installed = f"{sys.version_info.major}.{sys.version_info.minor}"
        return _stand_in("python", "Python", match[1], installed, identifier)
    if match := re.fullmatch(r"nodejs(\d*)(?:\.x|\.\d+)?(?:-edge)?", identifier):
        installed = node_version().partition(".")[0]
        return _stand_in("node", "Node.js", match[1] or "0", installed, identifier)
    if match := re.fullmatch(r"ruby(\d+\.\d+)", identifier):
        return _stand_in("ruby", "Ruby", match[1], ruby_version(), identifier)
    if match := re.fullmatch(r"java(\d+)(\.al\d+)?", identifier):
        return _stand_in("java", "Java", match[1], str(java_version(int(match[1]))), identifier)
    if re.fullmatch(r"provided(\.al2|\.al2023)?|go1\.x", identifier):
        return Runtime("provided", "", exact=True)
    raise UnknownRuntime(f"The runtime {identifier} is not installed here. haar runs python*, nodejs*, ruby*, java* and provided*")


def look() -> None:
    """Finds out once what is installed: programs are asked, so that nobody who holds the event loop has to."""
    for identifier in ("nodejs20.x", "ruby3.3", "java21"):
        with contextlib.suppress(UnknownRuntime):
            resolve(identifier)


def _stand_in(kind: Kind, language: str, asked: str, installed: str, identifier: str) -> Runtime:
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


def node_version() -> str:
    """The version of Node.js (`20.20.2`). Raises UnknownRuntime when there is none that can be used."""
    path = node()
    if path is None:
        raise UnknownRuntime(f"Node.js is not installed here: install Node.js {NODE_MINIMUM} or newer, then start haar again")
    version = _told(path, "--version").removeprefix("v")
    if not version or int(version.partition(".")[0]) < NODE_MINIMUM:
        raise UnknownRuntime(f"{path} is Node.js {version or '?'}: version {NODE_MINIMUM} or newer is needed")
    return version


@functools.cache
def ruby() -> Path | None:
    """The Ruby interpreter, or None."""
    found = shutil.which("ruby")
    return Path(found).resolve() if found else None


def ruby_version() -> str:
    """Ruby's version in two parts (`3.1`). Raises UnknownRuntime when there is none."""
    path = ruby()
    if path is None:
        raise UnknownRuntime("Ruby is not installed here: apt-get install ruby, then start haar again")
    return ".".join(_told(path, "-e", "print RUBY_VERSION").split(".")[:2])


@functools.cache
def _told(program: Path, *arguments: str) -> str:
    """What a program prints."""
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=20, check=False).stdout.strip()


def java_version(asked: int) -> int:
    """The installed major version of Java that runs what was built for `asked`. Raises UnknownRuntime when there is none."""
    installed = java.homes()
    if not installed:
        raise UnknownRuntime("Java is not installed here: apt-get install default-jre-headless, then start haar again")
    if not java.added():
        raise UnknownRuntime("AWS's runtime client for Java is not here: haar runtimes add java")
    return min((version for version in installed if version >= asked), default=max(installed))
