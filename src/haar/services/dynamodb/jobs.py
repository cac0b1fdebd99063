"""Work that goes on behind requests and survives a crash: emptying the spaces of what was deleted."""

from haar.services.dynamodb import records
from haar.services.service import Host
from haar.store.queue import Job, Queue

WORKERS = 2


def clearing(host: Host) -> Queue:
    """Spaces that nobody needs any more."""
    return Queue(host.store, records.CLEARING, host.clock)


async def run_clearing(host: Host) -> None:
    queue = clearing(host)

    async def clear(job: Job) -> None:
        await host.store.clear(job.body.decode())
        await queue.finish(job)

    await queue.run(clear, workers=WORKERS)
