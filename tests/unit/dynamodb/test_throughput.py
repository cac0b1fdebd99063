"""Buckets of provisioned throughput: they empty, fill with time, hold five minutes, and are one for each table and global index."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from haar.services.dynamodb.capacity import Consumed
from haar.services.dynamodb.records import IndexRecord, TableRecord, Throughput
from haar.services.dynamodb.tables import Table
from haar.services.dynamodb.throughput import BURST_SECONDS
from haar.services.dynamodb.throughput import Throughput as Meter
from haar.wire.errors import ServiceError


class Clock:
    at = 1_000_000.0

    def now(self) -> float:
        return self.at


def made(clock: Clock, enforced: bool = True) -> Meter:
    return Meter(cast("Any", SimpleNamespace(clock=clock, config=SimpleNamespace(enforce_throughput=enforced))))


def table(read: int = 2, write: int = 1, index_write: int = 1, billing: str = "PROVISIONED") -> Table:
    index = IndexRecord("byX", "di:1", False, [("x", "HASH")], "ALL", throughput=Throughput(read, index_write))
    local = IndexRecord("local", "di:2", True, [("id", "HASH"), ("x", "RANGE")], "ALL")
    keys, types = [("id", "HASH"), ("at", "RANGE")], {"id": "S", "at": "S", "x": "S"}
    record = TableRecord(
        "t", "us-east-1", "id", "dt:1", 0.0, keys, types, [index, local], billing=billing, throughput=Throughput(read, write)
    )
    return Table(record, "123456789012")


def spend(meter: Meter, of: Table, own: float, reads: bool, **indexes: float) -> None:
    consumed = Consumed(of, own, reads=reads)
    for name, units in indexes.items():
        consumed.indexes[name] = units
    meter.spend(consumed)


def refused(meter: Meter, of: Table, reads: bool, index: str | None = None) -> str:
    with pytest.raises(ServiceError) as error:
        meter.admit(of, reads, index)
    assert error.value.code == "ProvisionedThroughputExceededException"
    return error.value.message or ""


def test_a_bucket_empties_and_fills_again() -> None:
    clock, of = Clock(), table()
    meter = made(clock)
    meter.admit(of, reads=True)
    spend(meter, of, 2 * BURST_SECONDS + 4, reads=True)
    assert refused(meter, of, reads=True).startswith("The level of configured provisioned throughput for the table was exceeded.")
    meter.admit(of, reads=False)
    clock.at += 2
    refused(meter, of, reads=True)
    clock.at += 0.5
    meter.admit(of, reads=True)


def test_a_bucket_holds_five_minutes() -> None:
    clock, of = Clock(), table()
    meter = made(clock)
    spend(meter, of, 1, reads=True)
    clock.at += 86_400
    spend(meter, of, 2 * BURST_SECONDS, reads=True)
    refused(meter, of, reads=True)


def test_indexes_have_buckets_of_their_own_and_writes_need_all() -> None:
    clock, of = Clock(), table(write=1000)
    meter = made(clock)
    spend(meter, of, 1, reads=False, byX=BURST_SECONDS)
    meter.admit(of, reads=False)
    message = refused(meter, of, reads=False, index="byX")
    assert message.startswith("The level of configured provisioned throughput for one or more global secondary indexes of the table was")
    with pytest.raises(ServiceError):
        meter.admit_write(of)
    clock.at += 1
    meter.admit_write(of)


def test_local_indexes_are_the_tables() -> None:
    clock, of = Clock(), table()
    meter = made(clock)
    spend(meter, of, 0, reads=True, local=2 * BURST_SECONDS)
    refused(meter, of, reads=True)
    refused(meter, of, reads=True, index="local")


@pytest.mark.parametrize("enforced, billing", [(False, "PROVISIONED"), (True, "PAY_PER_REQUEST")])
def test_where_nothing_is_refused(enforced: bool, billing: str) -> None:
    of = table(billing=billing)
    meter = made(Clock(), enforced)
    spend(meter, of, 1e9, reads=True)
    meter.admit(of, reads=True)
    assert meter.throttled({"t": of}, reads=True) == frozenset()
