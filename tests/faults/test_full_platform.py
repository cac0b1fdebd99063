"""A full disk under a whole platform: every service says so, does nothing by halves, and goes on when there is space again."""

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import botocore.exceptions
import pytest
from tests.support.platform import RunningPlatform
from tests.support.writers import Tables, Writer, writers

pytestmark = pytest.mark.faults

STEPS = 20
NO_SPACE = "no space left for the write"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(path)], capture_output=True).returncode:
        pytest.skip("mount is refused here")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(4096))


def work(writer: Writer, dice: random.Random) -> int:
    """Some steps; how many of them found no space."""
    refused = 0
    for _ in range(STEPS):
        name = dice.choice(list(writer.known))
        steps = writer.steps(name, writer.known[name])
        if isinstance(writer, Tables):  # they are made and removed in the background, which waits for space
            steps = [step for step in steps if writer.known[name] is not None and step[0] is not None]
            if not steps:
                continue
        state, call = dice.choice(steps)
        try:
            call()
        except botocore.exceptions.ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 500 and NO_SPACE in error.response["Error"]["Message"], error
            refused += 1
        else:
            writer.known[name] = state
    return refused


def test_every_service_says_that_the_disk_is_full_and_goes_on_later(small_disk: Path, tmp_path: Path) -> None:
    platform = RunningPlatform(small_disk / "p")
    platform.log = tmp_path / "haar.log"
    platform.start()
    try:
        dice, everybody = random.Random(3), writers()
        for writer in everybody:
            writer.connect(platform)
            for name in writer.known:
                state, call = writer.steps(name, None)[0]
                call()
                writer.known[name] = state
        ballast = small_disk / "ballast"
        for killed in (False, True):
            fill(ballast)
            refused = [work(writer, dice) for writer in everybody for _ in range(2)]
            assert sum(refused) > STEPS, "the disk was not full"
            if killed:
                platform.kill()
            ballast.unlink()
            if killed:
                platform.start()
            for writer in everybody:
                writer.connect(platform)
                writer.check()
                assert work(writer, dice) == 0
                writer.check()
    finally:
        platform.stop()
