"""How often keys were used, by plan and day, and whether a quota is used up.

Counted in memory and written every SAVE_SECONDS: a quota is, as on AWS, kept as well as can be and not to the last request.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from haar.services.apigateway.records import Doc
from haar.services.service import Host, keep_writing
from haar.store.contract import Transaction

USAGE = "apigateway.usage"
"""region/plan/key, day (`2026-11-25`) -> how often."""
SAVE_SECONDS = 2.0
MAX_COUNTERS = 20_000
KEPT_DAYS = 100
"""Days of usage that are read back; AWS shows 90."""


def today(now: float) -> date:
    return datetime.fromtimestamp(now, UTC).date()


def period_start(quota: Doc, day: date) -> date:
    """The first day of the quota's period that a day is in."""
    if quota["period"] == "DAY":
        return day
    offset = int(quota.get("offset", 0))
    if quota["period"] == "WEEK":
        return day - timedelta(days=(day.isoweekday() % 7 - offset) % 7)
    start = day.replace(day=1 + min(offset, 27))
    return start if start <= day else (start.replace(day=1) - timedelta(days=1)).replace(day=1 + min(offset, 27))


@dataclass(slots=True)
class Counter:
    days: dict[str, int]
    unsaved: dict[str, int] = field(default_factory=dict)

    def since(self, first: date) -> int:
        start = first.isoformat()
        return sum(count for day, count in self.days.items() if day >= start)


class Usage:
    def __init__(self, host: Host) -> None:
        self._host = host
        self._known: OrderedDict[str, Counter] = OrderedDict()

    async def _counter(self, name: str) -> Counter:
        found = self._known.get(name)
        if found is None:
            found = Counter(await self.days(name))
            found = self._known.setdefault(name, found)
            self._forget()
        self._known.move_to_end(name)
        return found

    def _forget(self) -> None:
        for name in list(self._known)[: max(len(self._known) - MAX_COUNTERS, 0)]:
            if not self._known[name].unsaved:
                del self._known[name]

    async def take(self, region: str, plan: Doc, key_id: str, now: float) -> bool:
        """Counts one use; false when the plan's quota is used up."""
        counter, day = await self._counter(f"{region}/{plan['id']}/{key_id}"), today(now)
        quota = plan.get("quota")
        if quota is not None and counter.since(period_start(quota, day)) >= quota["limit"]:
            return False
        name = day.isoformat()
        counter.days[name] = counter.days.get(name, 0) + 1
        counter.unsaved[name] = counter.unsaved.get(name, 0) + 1
        return True

    async def set_remaining(self, name: str, quota: Doc, remaining: int, now: float) -> None:
        """Sets what is left of a quota in its period. The difference is kept beside the day's uses (`2026-11-25+`)."""
        counter, day = await self._counter(name), today(now)
        change = quota["limit"] - remaining - counter.since(period_start(quota, day))
        key = day.isoformat() + "+"
        counter.days[key] = counter.days.get(key, 0) + change
        counter.unsaved[key] = counter.unsaved.get(key, 0) + change
        await self.save()

    async def days(self, name: str) -> dict[str, int]:
        """Uses by day, as they are written."""
        rows = await self._host.store.range(USAGE, name.encode(), reverse=True, limit=KEPT_DAYS)
        return {sort.decode(): int(value) for sort, value in rows}

    async def save(self) -> None:
        """Writes what was counted since the last time."""
        changed = {name: counter.unsaved for name, counter in self._known.items() if counter.unsaved}
        if not changed:
            return
        for name in changed:
            self._known[name].unsaved = {}

        async def write(tx: Transaction) -> None:
            for name, days in changed.items():
                for day, count in days.items():
                    old = await tx.get(USAGE, name.encode(), day.encode())
                    tx.put(USAGE, name.encode(), day.encode(), str(int(old or b"0") + count).encode())

        try:
            await self._host.store.transact(write)
        except BaseException:
            self._give_back(changed)
            raise

    def _give_back(self, changed: dict[str, dict[str, int]]) -> None:
        """What could not be written is written the next time."""
        for name, days in changed.items():
            counter = self._known.setdefault(name, Counter({}))
            for day, count in days.items():
                counter.unsaved[day] = counter.unsaved.get(day, 0) + count


async def save_usage(host: Host) -> None:
    await keep_writing(host.get(Usage).save, SAVE_SECONDS)
