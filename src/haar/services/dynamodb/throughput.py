"""Throughput, when the platform is told to enforce it: a bucket of units for each table and index, in this process.

A bucket fills at the provisioned rate, or at the ceiling of an on-demand table that has one, and holds five minutes of it, as DynamoDB's
burst capacity does. A request is let in while there is something in the bucket, and then takes what it cost, even below nothing.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/burst-adaptive-capacity.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode-max-throughput.html
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from haar.services.dynamodb.capacity import Consumed
from haar.services.dynamodb.records import IndexRecord, TableRecord
from haar.services.dynamodb.tables import Table
from haar.wire.errors import ServiceError

if TYPE_CHECKING:
    from haar.services.service import Host

BURST_SECONDS = 300.0
BUCKETS = 20_000
MESSAGE = (
    "The level of configured provisioned throughput for the table was exceeded. "
    "Consider increasing your provisioning level with the UpdateTable API."
)
INDEX_MESSAGE = (
    "The level of configured provisioned throughput for one or more global secondary indexes of the table was exceeded. "
    "Consider increasing your provisioning level for the under-provisioned global secondary indexes with the UpdateTable API"
)
CEILING_MESSAGE = "Throughput exceeds the maximum OnDemandThroughput configured on table or index"


def _rate(billing: str, record: TableRecord | IndexRecord, reads: bool) -> int | None:
    """Units a second; None without a limit."""
    if billing == "PROVISIONED":
        return record.throughput.read if reads else record.throughput.write
    return (record.on_demand or {}).get("MaxReadRequestUnits" if reads else "MaxWriteRequestUnits")


class Throughput:
    """The buckets of a platform: `host.get(Throughput)`."""

    def __init__(self, host: "Host") -> None:
        self._clock = host.clock
        self.enforced = host.config.enforce_throughput
        self._buckets: dict[tuple[str, bool], tuple[float, float]] = {}
        """(space, reads) -> (units, when)"""

    def admit(self, table: Table, reads: bool, index: str | None = None) -> None:
        """Raises ProvisionedThroughputExceededException or ThrottlingException when nothing is left for one more read or write."""
        if not self.enforced:
            return
        billing = table.record.billing
        kind, space, arn, message = "Table", table.space, table.arn, MESSAGE
        rate = _rate(billing, table.record, reads)
        if index is not None and not table.index[index].local:
            found = table.index[index]
            kind, space, arn, message = "Index", found.space, table.index_arn(index), INDEX_MESSAGE
            rate = _rate(billing, found.record, reads)
        if rate is None or self._left(space, reads, rate) > 0:
            return
        what = f"{kind}{'Read' if reads else 'Write'}"
        if billing == "PROVISIONED":
            why = {"reason": f"{what}ProvisionedThroughputExceeded", "resource": arn}
            raise ServiceError("ProvisionedThroughputExceededException", message, ThrottlingReasons=[why])
        why = {"reason": f"{what}MaxOnDemandThroughputExceeded", "resource": arn}
        raise ServiceError("ThrottlingException", CEILING_MESSAGE, throttlingReasons=[why])

    def admit_write(self, table: Table) -> None:
        """The same for a write, which needs a place in every global index as well."""
        self.admit(table, reads=False)
        for index in table.indexes if self.enforced else ():
            self.admit(table, reads=False, index=index.name)

    def throttled(self, tables: Mapping[str, Table], reads: bool) -> frozenset[str]:
        """Which of a batch's tables have nothing left; raises when that is all of them."""
        if not self.enforced:
            return frozenset()
        found = {}
        for name, table in tables.items():
            try:
                if reads:
                    self.admit(table, reads=True)
                else:
                    self.admit_write(table)
            except ServiceError as error:
                found[name] = error
        if found and len(found) == len(tables):
            raise next(iter(found.values()))
        return frozenset(found)

    def spend(self, consumed: Consumed) -> None:
        """Takes what a request cost; local indexes are the table's."""
        if not self.enforced:
            return
        table, reads, own = consumed.table, consumed.reads, consumed.own
        billing = table.record.billing
        for name, units in consumed.indexes.items():
            index = table.index[name]
            if index.local:
                own += units
            else:
                self._take(index.space, reads, _rate(billing, index.record, reads), units)
        self._take(table.space, reads, _rate(billing, table.record, reads), own)

    def _left(self, space: str, reads: bool, rate: int) -> float:
        now = self._clock.now()
        left, when = self._buckets.get((space, reads), (rate * BURST_SECONDS, now))
        return min(rate * BURST_SECONDS, left + (now - when) * rate)

    def _take(self, space: str, reads: bool, rate: int | None, units: float) -> None:
        if rate is None:
            return
        left = self._left(space, reads, rate) - units
        if len(self._buckets) >= BUCKETS:
            self._buckets.pop(next(iter(self._buckets)))
        self._buckets[(space, reads)] = (left, self._clock.now())
