"""A point: what was measured in one period, and the statistics that it gives. Pure."""

import math
import re
from collections.abc import Iterable

import msgspec

EXACT_VALUES = 100
"""So many different values of a point are kept as they are; beyond, they are kept to three digits, ..."""
CLOSE_VALUES = 500
"""... and beyond that, to two: percentiles are then within 5%."""

PERCENTILE = re.compile(r"(p|tm)(\d{1,2}(?:\.\d{1,10})?|100)", re.ASCII)
PLAIN = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
SHORT = {"Min": "Minimum", "Max": "Maximum", "Avg": "Average"}


class Point(msgspec.Struct, array_like=True):
    """Counts may be fractions: values come with counts that are doubles."""

    count: float = 0.0
    sum: float = 0.0
    min: float = math.inf
    max: float = -math.inf
    values: dict[float, float] = {}
    """How often each value was there."""
    whole: bool = True
    """Whether `values` tells of all that was measured: sets of statistics come without values."""

    def add(self, value: float, count: float = 1.0) -> None:
        self.count += count
        self.sum += value * count
        self.min = min(self.min, value)
        self.max = max(self.max, value)
        self.values[value] = self.values.get(value, 0.0) + count

    def add_statistics(self, count: float, total: float, least: float, most: float) -> None:
        """Many values of which only this is known; when all are the same, they are known."""
        if least == most:
            self.values[least] = self.values.get(least, 0.0) + count
        else:
            self.whole = False
        self.count += count
        self.sum += total
        self.min = min(self.min, least)
        self.max = max(self.max, most)

    def merge(self, other: "Point") -> None:
        self.count += other.count
        self.sum += other.sum
        self.min = min(self.min, other.min)
        self.max = max(self.max, other.max)
        self.whole = self.whole and other.whole
        for value, count in other.values.items():
            self.values[value] = self.values.get(value, 0.0) + count

    def shrink(self) -> None:
        """Keeps the bound on the different values."""
        for most, digits in ((EXACT_VALUES, 3), (CLOSE_VALUES, 2)):
            if len(self.values) > most:
                fewer: dict[float, float] = {}
                for value, count in self.values.items():
                    near = float(f"{value:.{digits - 1}e}")
                    fewer[near] = fewer.get(near, 0.0) + count
                self.values = fewer

    def statistic(self, name: str) -> float | None:
        """`SampleCount`, `Average`, `Sum`, `Minimum`, `Maximum`, `p99.9`, `tm90`; None where the point does not tell."""
        if name == "SampleCount":
            return self.count
        if name == "Sum":
            return self.sum
        if name == "Average":
            return self.sum / self.count if self.count else 0.0
        if name == "Minimum":
            return self.min
        if name == "Maximum":
            return self.max
        if not self.whole or not self.values:
            return None
        matched = PERCENTILE.fullmatch(name)
        assert matched is not None, name
        share = float(matched[2]) / 100
        return self._percentile(share) if matched[1] == "p" else self._trimmed(share)

    def _percentile(self, share: float) -> float:
        wanted, seen = share * self.count, 0.0
        for value in sorted(self.values):
            seen += self.values[value]
            if seen >= wanted:
                return max(self.min, min(self.max, value))
        return self.max

    def _trimmed(self, share: float) -> float:
        """The mean of the lower part."""
        left, total = share * self.count, 0.0
        kept = left
        for value in sorted(self.values):
            taken = min(left, self.values[value])
            total += value * taken
            left -= taken
            if left <= 0:
                break
        return total / kept if kept else self.min


_decoder = msgspec.msgpack.Decoder(Point)
_encoder = msgspec.msgpack.Encoder()


def encode(point: Point) -> bytes:
    point.shrink()
    return _encoder.encode(point)


def decode(data: bytes) -> Point:
    return _decoder.decode(data)


def canonical(statistic: str) -> str | None:
    """The name of a statistic as `Point.statistic` takes it; None for what is none."""
    statistic = SHORT.get(statistic, statistic)
    return statistic if statistic in PLAIN or PERCENTILE.fullmatch(statistic) else None


def merged(points: Iterable[Point]) -> Point:
    total = Point(values={})
    for point in points:
        total.merge(point)
    return total
