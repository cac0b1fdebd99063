"""Writes to a store until it is killed. Reads a directory a line, forks a writer for it, and answers the writer's pid.

The writer says which transactions were acknowledged, a number a line, on the file descriptor that it was started with.
Transaction N writes N to `pairs` under both of its keys, and counts.
"""

import asyncio
import itertools
import os
import sys
from pathlib import Path

from haar.store import sqlite_log
from haar.store.contract import Transaction
from haar.store.sqlite import SQLiteStore

WORKERS = 16


async def write(directory: Path, out: int) -> None:
    sqlite_log.LOG_PAGES, sqlite_log.REST_PAGES = 60, 20  # so that the log starts over many times within the little time that there is
    sqlite_log.IDLE_SECONDS = 0.01
    store = await SQLiteStore.open(directory)
    last = await store.get("count", b"last")
    numbers = itertools.count(int(last or b"0") + 1)

    async def worker() -> None:
        for number in numbers:

            async def fn(tx: Transaction, number: int = number) -> None:
                key = b"%09d" % number
                tx.put("pairs", key, b"a", key * (1 + number % 300))
                tx.put("pairs", key, b"b", key)
                tx.put("count", b"last", b"", b"%d" % max(number, int(await tx.get("count", b"last") or b"0")))

            await store.transact(fn)
            os.write(out, b"%d\n" % number)

    await asyncio.gather(*(worker() for _ in range(WORKERS)))


def main() -> None:
    out = int(sys.argv[1])
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            asyncio.run(write(Path(line.strip()), out))
        print(pid, flush=True)
        os.waitpid(pid, 0)
        print("gone", flush=True)


if __name__ == "__main__":
    main()
