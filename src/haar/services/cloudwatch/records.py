"""What CloudWatch keeps, and under which keys.

    cloudwatch.series  region     namespace, name, dimensions   Series
    cloudwatch.points  series id  epoch seconds, unit           Point

A metric is a namespace, a name and a set of dimensions; each has an id, and points of its own for each unit. Points are of a minute, or
of a second where the metric is put so, and are merged into longer ones as they get older.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from haar.services.cloudwatch import points
from haar.services.cloudwatch.points import Point
from haar.store.contract import Reader, Transaction

SERIES = "cloudwatch.series"
POINTS = "cloudwatch.points"

TIME_BYTES = 4
READ_SLICE = 200
"""Points that are read in one piece."""
HOUR = 3600
MINUTE = 60
DAY = 86_400

Dimensions = tuple[tuple[str, str], ...]
"""Names and values, sorted."""


class Series(msgspec.Struct, omit_defaults=True):
    id: str
    namespace: str
    name: str
    dimensions: list[tuple[str, str]] = []
    last: int = 0
    """The hour (epoch seconds) of the newest point: moved on once an hour, not with each."""


class Name(NamedTuple):
    """Which metric."""

    namespace: str
    name: str
    dimensions: Dimensions


_decoder = msgspec.json.Decoder(Series)
_encode = msgspec.json.Encoder().encode


def dimensions_of(given: Sequence[Mapping[str, str]] | None) -> Dimensions:
    return tuple(sorted((each["Name"], each["Value"]) for each in given or ()))


def shown(dimensions: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in dimensions]


def series_key(name: Name) -> bytes:
    parts = (name.namespace, name.name, *(part for pair in name.dimensions for part in pair))
    return b"\x00".join(text.encode().replace(b"\x00", b"\x00\xff") for text in parts)


def decode(data: bytes) -> Series:
    return _decoder.decode(data)


async def find(reader: Reader, region: str, name: Name) -> Series | None:
    data = await reader.get(SERIES, region.encode(), series_key(name))
    return None if data is None else decode(data)


def put(tx: Transaction, region: str, name: Name, series: Series) -> None:
    tx.put(SERIES, region.encode(), series_key(name), _encode(series))


def at(seconds: int, unit: str = "") -> bytes:
    """Where the point of a time is; without a unit, where the first of that time would be."""
    return max(0, seconds).to_bytes(TIME_BYTES) + unit.encode()


def read_at(sort: bytes) -> tuple[int, str]:
    return int.from_bytes(sort[:TIME_BYTES]), sort[TIME_BYTES:].decode()


async def add(tx: Transaction, region: str, name: Name, fresh_id: str, measured: Mapping[tuple[int, str], Point]) -> None:
    """Merges points, by time and unit, into those of the metric, which is made when it is not there."""
    series = await find(tx, region, name)
    newest = max(time for time, _ in measured) // HOUR * HOUR
    if series is None:
        series = Series(fresh_id, name.namespace, name.name, list(name.dimensions))
    if newest > series.last:
        series.last = newest
        put(tx, region, name, series)
    partition = series.id.encode()
    for (time, unit), point in measured.items():
        sort = at(time, unit)
        before = await tx.get(POINTS, partition, sort)
        together = points.merged([point] if before is None else [points.decode(before), point])
        tx.put(POINTS, partition, sort, points.encode(together))


async def grouped(reader: Reader, series: Series, start: int, end: int, period: int) -> dict[str, dict[int, Point]]:
    """What was measured from `start` to before `end`: by unit, then by the beginning of each period in which something was, in order.

    Read and put together in slices that let others in.
    """
    found: dict[str, dict[int, Point]] = {}
    begin = at(start)
    while rows := await reader.range(POINTS, series.id.encode(), begin, at(end), limit=READ_SLICE):
        for sort, value in rows:
            time, unit = read_at(sort)
            time = start + (time - start) // period * period
            periods, point = found.setdefault(unit, {}), points.decode(value)
            if (before := periods.get(time)) is None:
                periods[time] = point
            else:
                before.merge(point)
        if len(rows) < READ_SLICE:
            break
        begin = rows[-1][0] + b"\x00"
        await asyncio.sleep(0)
    return found
