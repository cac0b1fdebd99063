"""What haar's own services measure: noted in memory, added up and written every few seconds.

Metrics are no ledger: what was noted in the last seconds before a crash is lost, and noting costs a request next to nothing.
"""

import asyncio
from typing import NamedTuple

from haar.services.cloudwatch import records
from haar.services.cloudwatch.points import Point, merged
from haar.services.cloudwatch.records import Dimensions, Name
from haar.services.service import Host, keep_writing
from haar.store.contract import Transaction

WRITE_SECONDS = 5.0
MAX_NOTES = 200_000
"""Between two writes; what is beyond is not counted."""
SERIES_AT_ONCE = 10
"""Metrics written in one transaction."""

Sample = tuple[str, str, float]
"""A metric's name, its unit, and a value."""


class Subject(NamedTuple):
    """What is measured: every sample of it counts for the metric of each of these sets of dimensions."""

    region: str
    namespace: str
    dimensions: tuple[Dimensions, ...]


class Measures:
    """One a host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._notes: list[tuple[int, Subject, tuple[Sample, ...]]] = []

    def note(self, subject: Subject, samples: tuple[Sample, ...], time: int | None = None) -> None:
        """Remembers what was measured: now, or at a time (epoch seconds)."""
        if len(self._notes) < MAX_NOTES:
            self._notes.append((int(self._host.clock.now()) if time is None else time, subject, samples))

    async def write(self) -> None:
        """Writes what was noted since the last time."""
        notes, self._notes = self._notes, []
        metrics = await asyncio.to_thread(_added_up, notes) if len(notes) > 1000 else _added_up(notes)
        waiting = list(metrics.items())
        for begin in range(0, len(waiting), SERIES_AT_ONCE):
            part = [(region, name, self._host.ids.text(16), points) for (region, name), points in waiting[begin : begin + SERIES_AT_ONCE]]

            async def write(tx: Transaction, part: "list[tuple[str, Name, str, _Points]]" = part) -> None:
                for region, name, fresh, points in part:
                    await records.add(tx, region, name, fresh, points)

            await self._host.store.transact(write)


_Points = dict[tuple[int, str], Point]


def _added_up(notes: list[tuple[int, Subject, tuple[Sample, ...]]]) -> dict[tuple[str, Name], _Points]:
    by_subject: dict[tuple[Subject, str, str, int], Point] = {}
    for now, subject, samples in notes:
        minute = now // records.MINUTE * records.MINUTE
        for metric, unit, value in samples:
            key = (subject, metric, unit, minute)
            point = by_subject.get(key)
            if point is None:
                point = by_subject[key] = Point(values={})
            point.add(value)
    found: dict[tuple[str, Name], _Points] = {}
    for (subject, metric, unit, minute), point in by_subject.items():
        point.shrink()
        for dimensions in subject.dimensions:
            points = found.setdefault((subject.region, Name(subject.namespace, metric, dimensions)), {})
            points[minute, unit] = merged([points[minute, unit], point]) if (minute, unit) in points else point
    return found


async def run(host: Host) -> None:
    await keep_writing(host.get(Measures).write, WRITE_SECONDS)
