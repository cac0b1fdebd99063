"""kill -9 during work on every service: what was answered is there, and what was not is there whole or not at all."""

import os
import random
import threading
import time

import pytest
from tests.support.platform import RunningPlatform
from tests.support.writers import writers

pytestmark = pytest.mark.faults

ROUNDS = min(int(os.environ.get("HAAR_KILL_ROUNDS", "4")), 10)


@pytest.mark.timeout(600)
def test_kills_lose_nothing_of_any_service(killable: RunningPlatform) -> None:
    everybody = writers()
    dice = random.Random(7)
    for writer in everybody:
        writer.connect(killable)
    for number in range(ROUNDS):
        working = [threading.Thread(target=writer.work, args=(random.Random(number),)) for writer in everybody]
        for one in working:
            one.start()
        time.sleep(0.5 + dice.random() * 0.5)
        killable.kill()
        for one in working:
            one.join(60)
        killable.start()
        for writer in everybody:
            writer.connect(killable)
            writer.check()
    assert all(writer.answered for writer in everybody), "nothing was written"
