"""API keys on the way of a request: whose key it is, which plan lets it in, and how fast it may go."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from haar.eager import into_task
from haar.services.apigateway.dataplane.answers import bad_key, quota_exceeded, throttled
from haar.services.apigateway.dataplane.call import Call
from haar.services.apigateway.dataplane.compile import Endpoint
from haar.services.apigateway.dataplane.usage import Usage
from haar.services.apigateway.records import ACCOUNT, Doc, docs, get_doc
from haar.services.service import Host
from haar.store.cache import Cached

ACCOUNT_LIMITS: dict[str, float] = {"burstLimit": 5000, "rateLimit": 10000.0}
"""How fast all APIs of a region together may be called, unless the account's settings say otherwise."""
MAX_REGIONS = 64
MAX_BUCKETS = 20_000
"""Keys in plans whose speed is remembered; the longest unused is forgotten first."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A key and the plans that it is in."""

    key: Doc
    plans: tuple[Doc, ...]

    def plan(self, api_id: str, stage: str) -> tuple[Doc, Doc] | None:
        """The plan that opens this stage to the key, and its entry for the stage."""
        for plan in self.plans:
            for one in plan["apiStages"]:
                if one["apiId"] == api_id and one["stage"] == stage:
                    return plan, one
        return None


@dataclass(slots=True)
class Bucket:
    """A token bucket: `burst` at once, `rate` a second after that."""

    tokens: float
    at: float

    def take(self, rate: float, burst: float, now: float) -> bool:
        self.tokens = min(burst, self.tokens + (now - self.at) * rate)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(slots=True)
class Buckets:
    known: "OrderedDict[str, Bucket]" = field(default_factory=OrderedDict)

    def take(self, name: str, limits: Mapping[str, float], now: float) -> bool:
        rate, burst = limits.get("rateLimit"), limits.get("burstLimit")
        if rate is None and burst is None:
            return True
        rate = 10_000.0 if rate is None else rate
        burst = max(float(burst if burst is not None else rate), 1.0 if rate > 0 else 0.0)
        bucket = self.known.get(name)
        if bucket is None:
            bucket = self.known[name] = Bucket(burst, now)
            if len(self.known) > MAX_BUCKETS:
                self.known.popitem(last=False)
        self.known.move_to_end(name)
        return bucket.take(rate, burst, now)


class Keys:
    """The keys of a host, by region and value; read anew when any of them changes."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._regions: Cached[dict[str, Grant]] = Cached(host.store, (ACCOUNT,), self._load, MAX_REGIONS)
        self._accounts: Cached[Mapping[str, float]] = Cached(host.store, (ACCOUNT,), self._load_limits, MAX_REGIONS)
        self.buckets = Buckets()

    async def check_account(self, region: str, now: float) -> None:
        """Raises Refused when the region's APIs are called faster than the account may."""
        limits = self._accounts.peek(region)
        if limits is None:
            await into_task()
            limits = await self._accounts.get(region)
        if not self.buckets.take(f"account/{region}", limits, now):
            raise throttled()

    async def _load_limits(self, region: str) -> Mapping[str, float]:
        settings = await get_doc(self._host.store, ACCOUNT, region, "account") or {}
        limits: dict[str, float] = ACCOUNT_LIMITS | settings.get("throttleSettings", {})
        return limits

    async def find(self, region: str, value: str) -> Grant | None:
        known = self._regions.peek(region)
        if known is None:
            known = await self._regions.get(region)
        return known.get(value)

    async def _load(self, region: str) -> dict[str, Grant]:
        store = self._host.store
        plans = {plan["id"]: plan for plan in await docs(store, ACCOUNT, region, "plan/")}
        members: dict[str, list[Doc]] = {}
        for sort, _ in await store.range(ACCOUNT, region.encode(), b"plankey/", b"plankey0"):
            _, plan_id, key_id = sort.decode().split("/")
            if plan_id in plans:
                members.setdefault(key_id, []).append(plans[plan_id])
        found = await docs(store, ACCOUNT, region, "key/")
        return {key["value"]: Grant(key, tuple(members.get(key["id"], ()))) for key in found}


async def check_key(call: Call, endpoint: Endpoint, value: str | None) -> None:
    """Raises Refused unless the key is good for this stage and not too fast; puts it into the call."""
    live, keys = call.live, call.host.get(Keys)
    grant = await keys.find(live.region, value) if value else None
    if grant is None or not grant.key["enabled"]:
        raise bad_key()
    found = grant.plan(live.api_id, live.stage)
    if found is None:
        raise bad_key()
    plan, stage = found
    name = f"{plan['id']}/{grant.key['id']}"
    own = stage.get("throttle", {}).get(f"{endpoint.resource_path}/{endpoint.http_method}")
    if own is not None and not keys.buckets.take(
        f"{name}/{live.api_id}/{live.stage}{endpoint.resource_path}/{endpoint.http_method}", own, call.now
    ):
        raise throttled()
    if not keys.buckets.take(name, plan.get("throttle", {}), call.now):
        raise throttled()
    if not await call.host.get(Usage).take(live.region, plan, grant.key["id"], call.now):
        raise quota_exceeded()
    call.api_key = grant.key
