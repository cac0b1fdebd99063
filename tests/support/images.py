"""Container images made by hand: an OCI layout from files, without a registry and without Docker."""

import hashlib
import io
import json
import platform
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
needs_tools = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("skopeo", "umoci")), reason="skopeo and umoci are not installed: apt-get install skopeo umoci"
)
needs_busybox = pytest.mark.skipif(shutil.which("busybox") is None, reason="busybox-static is not installed")

RUNTIME = """
R=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime
while true; do
  wget -q -S -O /tmp/event $R/invocation/next 2>/tmp/head
  id=$(sed -n 's/.*Request-Id: //p' /tmp/head | tr -d '\\r')
  answer=$(eval "$ANSWER" 2>&1 | sed 's/["\\\\]/./g' | tr '\\n' ' ')
  body="{\\"event\\": $(cat /tmp/event), \\"arguments\\": \\"$*\\", \\"in\\": \\"$PWD\\", \\"said\\": \\"$answer\\"}"
  wget -q -O /dev/null --post-data "$body" $R/invocation/$id/response
done
"""
"""A runtime client for busybox's shell: answers the event, its arguments and what the shell text in ANSWER prints."""


class Entry:
    """One entry of a layer's archive, hostile or not."""

    def __init__(self, name: str, content: bytes = b"", mode: int = 0o644, **more: Any) -> None:
        self.content = content
        self.info = tarfile.TarInfo(name)
        self.info.size, self.info.mode = len(content), mode
        for attribute, value in more.items():
            setattr(self.info, attribute, value)


def directory(name: str, mode: int = 0o755) -> Entry:
    return Entry(name, mode=mode, type=tarfile.DIRTYPE)


def link(name: str, target: str) -> Entry:
    return Entry(name, type=tarfile.SYMTYPE, linkname=target)


def busybox(script: str = RUNTIME) -> list[Entry]:
    """The files of an image that answers invocations."""
    program = Path(shutil.which("busybox") or "busybox").resolve().read_bytes()
    tools = ("sh", "wget", "sed", "tr", "cat", "id", "ls", "touch", "grep", "env", "mkdir", "mount", "find", "head", "sleep", "nslookup")
    return [
        directory("bin"), Entry("bin/busybox", program, 0o755), *(link(f"bin/{name}", "busybox") for name in tools),
        directory("tmp", 0o1777), directory("work"), Entry("boot", b"#!/bin/sh\n" + script.encode(), 0o755),
    ]  # fmt: skip


def layout(
    path: Path,
    layers: Sequence[Sequence[Entry]],
    config: Mapping[str, Any] | None = None,
    *,
    tag: str = "v1",
    architecture: str = ARCHITECTURE,
) -> str:
    """Writes an image into the OCI layout at `path`; its ImageUri."""
    blobs = path / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def blob(kind: str, data: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    packed, plain = [], []
    for entries in layers:
        written = io.BytesIO()
        with tarfile.open(fileobj=written, mode="w") as archive:
            for entry in entries:
                archive.addfile(entry.info, io.BytesIO(entry.content))
        plain.append("sha256:" + hashlib.sha256(written.getvalue()).hexdigest())
        packed.append(blob("layer.v1.tar", written.getvalue()))
    about = {"architecture": architecture, "os": "linux", "config": dict(config or {}), "rootfs": {"type": "layers", "diff_ids": plain}}
    described = blob("config.v1+json", json.dumps(about).encode())
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": described, "layers": packed}
    named = blob("manifest.v1+json", json.dumps(manifest).encode()) | {"annotations": {"org.opencontainers.image.ref.name": tag}}
    index = path / "index.json"
    others = json.loads(index.read_text())["manifests"] if index.exists() else []
    others = [other for other in others if other["annotations"]["org.opencontainers.image.ref.name"] != tag]
    index.write_text(json.dumps({"schemaVersion": 2, "manifests": [*others, named]}))
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return f"oci:{path}:{tag}"
