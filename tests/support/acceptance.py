"""Runs the black-box acceptance tests as their README says: twice on one platform, and once more after kill -9 and a new start."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.platform import RunningPlatform

from haar.config import Config


def main(directory: Path) -> int:
    with tempfile.TemporaryDirectory(prefix="haar-acceptance-") as temporary:
        running = RunningPlatform(Path(temporary), environment={"HAAR_SETTLE_SECONDS": str(Config().settle_seconds)}).start()
        try:
            for turn in ("first", "second", "after kill -9"):
                if turn == "after kill -9":
                    running.kill()
                    running.start()
                print(f"acceptance, {turn} time", flush=True)
                code = run(directory, running)
                if code:
                    print(running.log.read_text()[-4000:], file=sys.stderr)
                    return code
        finally:
            running.stop()
    return 0


def run(directory: Path, running: RunningPlatform) -> int:
    described = running.described
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "AWS_ENDPOINT_URL": described["endpoint"],
        "AWS_DEFAULT_REGION": described["region"],
        "AWS_ACCESS_KEY_ID": described["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": described["secret_access_key"],
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        str(directory),
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(directory),
        "-c",
        os.devnull,
    ]
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
