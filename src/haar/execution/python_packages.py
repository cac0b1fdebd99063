"""What a Python function finds beside its own code, as on AWS: boto3, botocore and the runtime client, and nothing else of haar's own."""

import hashlib
import shutil
import sys
import sysconfig
from pathlib import Path

from haar.execution.package import into_place, link_or_copy

PACKAGES = (
    "awslambdaric", "runtime_client", "snapshot_restore_py", "simplejson",
    "boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3",
)  # fmt: skip
DISTRIBUTIONS = ("awslambdaric", "boto3", "botocore", "s3transfer", "urllib3", "simplejson")


def prepare_python(cache: Path) -> Path:
    """The directory of those packages, made once for each set of versions."""
    site = Path(sysconfig.get_path("purelib", vars={"base": sys.prefix, "platbase": sys.prefix}))
    versions = sorted(path.name for path in site.glob("*.dist-info") if path.name.split("-")[0] in DISTRIBUTIONS)
    fingerprint = hashlib.sha256("\n".join([str(site), sys.version, *versions]).encode()).hexdigest()[:16]
    target = cache / f"python-{fingerprint}"
    if not target.is_dir():
        into_place(target, lambda partial: gather(site, partial))
    return target


def gather(site: Path, target: Path) -> None:
    for path in sorted(site.iterdir()):
        if path.name.split(".")[0] in PACKAGES and not path.name.endswith(".dist-info"):
            if path.is_dir():
                shutil.copytree(path, target / path.name, copy_function=link_or_copy)
            else:
                link_or_copy(str(path), str(target / path.name))
