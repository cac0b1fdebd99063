"""What is kept of alarms, and under which keys.

    cloudwatch.alarms   region        name                      Alarm
    cloudwatch.history  region, name  microseconds, sequence    Entry

An alarm's settings have AWS's own member names: what is kept is what is shown.
"""

from typing import Any

import msgspec

from haar.store.contract import Reader, Transaction

ALARMS = "cloudwatch.alarms"
HISTORY = "cloudwatch.history"
KEPT_ENTRIES = 500
"""Of one alarm's history; the oldest go."""


class Alarm(msgspec.Struct, omit_defaults=True):
    name: str
    settings: dict[str, Any]
    updated: float
    """When its settings were."""
    state: str
    reason: str
    changed: float
    """When its state was said anew, and ..."""
    transitioned: float
    """... when it last became another."""
    data: str = ""
    """The state's reason, for programs (JSON)."""
    tags: dict[str, str] = {}


class Entry(msgspec.Struct):
    alarm: str
    time: float
    kind: str
    """`ConfigurationUpdate`, `StateUpdate`, `Action`"""
    summary: str
    data: str


_decode_alarm = msgspec.json.Decoder(Alarm).decode
_decode_entry = msgspec.json.Decoder(Entry).decode
_encode = msgspec.json.Encoder().encode


def alarm_arn(region: str, account: str, name: str) -> str:
    return f"arn:aws:cloudwatch:{region}:{account}:alarm:{name}"


async def find_alarm(reader: Reader, region: str, name: str) -> Alarm | None:
    raw = await reader.get(ALARMS, region.encode(), name.encode())
    return None if raw is None else decode(raw)


def decode(raw: bytes) -> Alarm:
    return _decode_alarm(raw)


def decode_entry(raw: bytes) -> Entry:
    return _decode_entry(raw)


def put_alarm(tx: Transaction, region: str, alarm: Alarm) -> None:
    tx.put(ALARMS, region.encode(), alarm.name.encode(), _encode(alarm))


def history_of(region: str, name: str) -> bytes:
    return f"{region}\0{name}".encode()


async def add_entry(tx: Transaction, region: str, entry: Entry) -> None:
    """Adds to an alarm's history and forgets what is too much of it."""
    partition, sort = history_of(region, entry.alarm), int(entry.time * 1e6).to_bytes(8, "big")
    rows = await tx.range(HISTORY, partition)
    latest = rows[-1][0] if rows else b""
    sort += (int.from_bytes(latest[8:]) + 1 if latest[:8] == sort else 0).to_bytes(4, "big")
    tx.put(HISTORY, partition, sort, _encode(entry))
    for old, _ in rows[: max(0, len(rows) + 1 - KEPT_ENTRIES)]:
        tx.delete(HISTORY, partition, old)
