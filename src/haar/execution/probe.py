"""What this host offers for running functions: asked at start, and by `haar doctor`."""

import asyncio
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from haar.execution import cgroups, images, runtimes, seccomp

PROBE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `haar doctor`."""

    name: str
    state: Literal["ok", "warning", "error"]
    detail: str
    remedy: str = ""


def interpreter() -> Finding:
    path = runtimes.python()
    state: Literal["ok", "error"] = "ok" if sys.version_info >= (3, 11) else "error"
    return Finding("Python", state, f"{sys.version.split()[0]} at {path}", "" if state == "ok" else "install Python 3.11 or newer")


def node() -> Finding:
    try:
        version = runtimes.node_version()
    except runtimes.UnknownRuntime as error:
        return Finding("Node.js", "warning", str(error), "install Node.js 18 or newer to run nodejs functions")
    if not (runtimes.NODE / "node_modules" / "@aws-sdk").is_dir():
        return Finding("Node.js", "warning", f"{version}, without the AWS SDK for JavaScript", "run `make install`")
    return Finding("Node.js", "ok", f"{version} at {runtimes.node()}, with the AWS SDK for JavaScript v3")


def bubblewrap() -> Finding:
    path = shutil.which("bwrap")
    if path is None:
        return Finding("bubblewrap", "error", "not installed", "apt-get install bubblewrap (or start haar with --sandbox none)")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=PROBE_SECONDS, check=False).stdout.strip()
    return Finding("bubblewrap", "ok", f"{version.removeprefix('bubblewrap ')} at {path}")


def namespaces() -> Finding:
    said = _try_sandbox()
    if said is None:
        return Finding("namespaces", "ok", "a sandbox starts" + ("" if os.geteuid() == 0 else " as an ordinary user"))
    return Finding("namespaces", "error", said, _remedy(said))


def control_groups() -> Finding:
    hierarchy = cgroups.detect("doctor")
    if hierarchy is None:
        remedy = "start haar as root, or with `systemd-run --user --scope -p Delegate=yes`"
        return Finding("control groups", "warning", "not writable: memory is watched, the share of the processor is not limited", remedy)
    state: Literal["ok", "warning"] = "warning" if hierarchy.missing else "ok"
    missing = f"; without {', '.join(hierarchy.missing)}" if hierarchy.missing else ""
    return Finding("control groups", state, f"version {hierarchy.version}: {', '.join(hierarchy.bases)}{missing}")


def system_calls() -> Finding:
    if seccomp.program():
        return Finding("system call filter", "ok", "in use")
    return Finding("system call filter", "warning", f"not written for {os.uname().machine}; namespaces still isolate functions")


def pasta() -> Finding:
    path = shutil.which("pasta")
    if path is None:
        return Finding(
            "pasta", "warning", "not installed: functions cannot reach the internet", 'apt-get install passt, then egress = "on"'
        )
    return Finding("pasta", "ok", f'at {path} (used with egress = "on")')


def container_images() -> Finding:
    missing = images.missing_tools()
    if missing:
        detail = f"{' and '.join(missing)} not installed: functions cannot be container images"
        return Finding("container images", "warning", detail, f"apt-get install {' '.join(missing)}")
    return Finding("container images", "ok", "skopeo and umoci are here")


def findings() -> list[Finding]:
    """Everything, in the order in which it matters."""
    return [interpreter(), bubblewrap(), namespaces(), system_calls(), control_groups(), node(), container_images(), pasta()]


async def refusal() -> str | None:
    """Why functions cannot run in a sandbox here and what to do, or None."""
    if shutil.which("bwrap") is None:
        return (
            "Functions need bubblewrap, which is not installed here. Install it, or start haar with --sandbox none; `haar doctor` says more"
        )
    said = await asyncio.to_thread(_try_sandbox)
    if said is None:
        return None
    return f"Functions cannot be isolated here: {said}. {_remedy(said)}; `haar doctor` says more"


def _try_sandbox() -> str | None:
    """Starts the smallest sandbox; what was said when it does not start."""
    path = shutil.which("bwrap")
    if path is None:
        return "bubblewrap is not installed"
    command = [
        path,
        "--unshare-pid",
        "--unshare-net",
        "--unshare-ipc",
        "--unshare-uts",
        "--ro-bind",
        "/",
        "/",
        "--proc",
        "/proc",
        "--cap-drop",
        "ALL",
    ]
    if os.geteuid() != 0:
        command.append("--unshare-user")
    try:
        done = subprocess.run([*command, "/bin/true"], capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else done.stderr.strip() or f"bubblewrap ended with status {done.returncode}"


def _remedy(said: str) -> str:
    if "proc" in said:
        return "in a container, run it with --security-opt systempaths=unconfined (or use --sandbox none)"
    settings = "sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0"
    return f"allow user namespaces ({settings}) or use --sandbox none"


def process_identity(pid: int | None = None) -> str:
    """A process's id and when it started, so that a number used again is not taken for it."""
    pid = os.getpid() if pid is None else pid
    try:
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[19]
    except OSError:
        started = "0"
    return f"{pid} {started}"
