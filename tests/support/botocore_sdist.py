"""botocore's source distribution: its own test vectors (protocols, SigV4) are run against haar, and nothing of them is copied."""

import fcntl
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from functools import cache
from pathlib import Path

VERSION = "1.44.8"
_FOLDER = Path(__file__).resolve().parents[2] / ".cache" / "botocore-sdist"
_ATTEMPTS = 4
_PIP_TIMEOUT = 180


@cache
def sdist() -> Path:
    """The root of the unpacked source distribution, fetched once a checkout. Workers that ask at the same time wait for the first."""
    root = _FOLDER / f"botocore-{VERSION}"
    if root.is_dir():
        return root
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with (_FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.is_dir():
            _fetch(root)
    return root


def _fetch(root: Path) -> None:
    with tempfile.TemporaryDirectory(dir=_FOLDER) as name:
        folder = Path(name)
        archive = _download(folder)
        with tarfile.open(archive) as tar:
            _unpack(tar, folder / "unpacked")
        # Moved into place in one step, so that a run that was killed leaves nothing half unpacked.
        shutil.move(folder / "unpacked" / f"botocore-{VERSION}", root)


def _unpack(tar: tarfile.TarFile, target: Path) -> None:
    for member in tar:
        wanted = member.isfile() and member.name.startswith(f"botocore-{VERSION}/tests/unit/") and ".." not in member.name.split("/")
        content = tar.extractfile(member) if wanted else None
        if content is not None:
            path = target / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-binary", "botocore", "--dest", str(folder), f"botocore=={VERSION}"]
    problem = ""
    for attempt in range(_ATTEMPTS):
        time.sleep(2 * attempt)
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_TIMEOUT, check=False)
        except subprocess.TimeoutExpired as error:
            problem = str(error)
            continue
        found = sorted(folder.glob("botocore-*.tar.gz"))
        if done.returncode == 0 and found:
            return found[0]
        problem = done.stderr or done.stdout
    raise RuntimeError(f"botocore's source distribution could not be fetched: {problem}")
