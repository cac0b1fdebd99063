"""How often a table can become on-demand, change its class, or change its encryption.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
"""

from haar.services.dynamodb import errors
from haar.services.dynamodb.describe import moment
from haar.services.dynamodb.limits import (
    CLASS_CHANGE_DAYS,
    CLASS_CHANGES,
    DAY_SECONDS,
    ENCRYPTION_CHANGES,
    ENCRYPTION_SECONDS,
    ON_DEMAND_SWITCHES,
)
from haar.services.dynamodb.records import CLASS, ENCRYPTION, ON_DEMAND, TableRecord


def becomes_on_demand(record: TableRecord, now: float) -> None:
    """Notes that the table becomes on-demand. Raises LimitExceededException."""
    _few(record, ON_DEMAND, now, ON_DEMAND_SWITCHES, 1, "Update to PayPerRequest mode")


def changes_class(record: TableRecord, now: float) -> None:
    """Notes that the table's class changes. Raises LimitExceededException."""
    _few(record, CLASS, now, CLASS_CHANGES, CLASS_CHANGE_DAYS, "Update to TableClass")


def changes_encryption(record: TableRecord, now: float) -> None:
    """Notes that the table's encryption changes. Raises LimitExceededException."""
    recent = _recent(record, ENCRYPTION, now, DAY_SECONDS)
    if len(recent) >= ENCRYPTION_CHANGES and now < recent[-1] + ENCRYPTION_SECONDS:
        end = moment(recent[0] + DAY_SECONDS).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        raise errors.limit_exceeded(
            f"Subscriber limit exceeded: Encryption mode changes are limited in the 24h window ending at {end}. "
            f"After the first {ENCRYPTION_CHANGES} change, each subsequent change in the same window can be performed at most once every "
            f"{ENCRYPTION_SECONDS:.0f} seconds. Number of updates today: {len(recent)}"
        )
    record.changes[ENCRYPTION] = [*recent, now]


def _few(record: TableRecord, kind: str, now: float, most: int, days: int, called: str) -> None:
    recent = _recent(record, kind, now, days * DAY_SECONDS)
    if len(recent) >= most:
        last, following = (f"{moment(at):%a %b %d %H:%M:%S UTC %Y}" for at in (recent[-1], recent[0] + days * DAY_SECONDS))
        raise errors.limit_exceeded(
            f"Subscriber limit exceeded: {called} are limited to {most} times in {days} day(s). "
            f"Last update at {last}. Next update can be made at {following}"
        )
    record.changes[kind] = [*recent, now]


def _recent(record: TableRecord, kind: str, now: float, seconds: float) -> list[float]:
    return [at for at in record.changes.get(kind, ()) if at > now - seconds]
