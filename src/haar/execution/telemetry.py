"""The Telemetry API and the Logs API of one environment: who subscribes to what, and bringing it to them
(https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api-reference.html, …/runtimes-logs-api.html)."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from haar.clock import Clock
from haar.execution.doors import Doors
from haar.execution.output import timestamp
from haar.execution.report import Reporter

Api = Literal["TELEMETRY", "LOGS"]
PATHS: dict[str, Api] = {"/2022-07-01/telemetry": "TELEMETRY", "/2020-08-15/logs": "LOGS"}
SCHEMAS = {"TELEMETRY": ("2022-07-01", "2022-12-13", "2025-01-29"), "LOGS": ("2020-08-15", "2021-03-18")}
TYPES = ("platform", "function", "extension")
HOSTS = ("sandbox.localdomain", "sandbox")
BUFFERING = {"timeoutMs": (25, 30_000, 1000), "maxBytes": (262_144, 1_048_576, 262_144), "maxItems": (1000, 10_000, 10_000)}
"""Least, most, and what it is when nobody says."""
KEPT_BATCHES = 2
"""So much is kept for one who does not read; the rest is dropped, and told of."""
ATTEMPTS = 3
RETRY_SECONDS = 0.1
ANSWER_BYTES = 1 << 16
SLOW = "Some logs were dropped because the downstream consumer is slower than the logs production rate"
UNREACHED = "Some logs were dropped because the subscriber could not be reached"


class Invalid(Exception):
    """400: what is wrong with a subscription."""


@dataclass(frozen=True, slots=True)
class Subscription:
    api: Api
    schema: str
    types: tuple[str, ...]
    protocol: Literal["HTTP", "TCP"]
    port: int
    path: str
    method: str
    timeout: float
    max_bytes: int
    max_items: int


def parse(api: Api, body: bytes) -> Subscription:
    """The body of a subscription. Raises Invalid."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"failed to parse JSON: {error}") from None
    if not isinstance(told, dict):
        raise Invalid("schema validation error: an object is expected")
    schema = told.get("schemaVersion", SCHEMAS[api][0] if api == "LOGS" else None)
    if schema not in SCHEMAS[api]:
        raise Invalid(f"schema validation error: schemaVersion must be one of {', '.join(SCHEMAS[api])}")
    types = told.get("types")
    if not isinstance(types, list) or not types or not all(kind in TYPES for kind in types):
        raise Invalid(f"schema validation error: types must be a list of {', '.join(TYPES)}")
    protocol, port, path, method = _destination(told.get("destination"))
    buffering = told.get("buffering") or {}
    if not isinstance(buffering, dict):
        raise Invalid("schema validation error: buffering must be an object")
    chosen = {}
    for name, (least, most, default) in BUFFERING.items():
        chosen[name] = value = buffering.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise Invalid(f"schema validation error: buffering.{name} must be an integer from {least} to {most}")
    ordered = tuple(kind for kind in TYPES if kind in types)
    return Subscription(
        api, schema, ordered, protocol, port, path, method, chosen["timeoutMs"] / 1000, chosen["maxBytes"], chosen["maxItems"]
    )


def _destination(told: object) -> tuple[Literal["HTTP", "TCP"], int, str, str]:
    if not isinstance(told, dict):
        raise Invalid("schema validation error: destination must be an object")
    if told.get("protocol") == "TCP":
        port = told.get("port")
        if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
            raise Invalid("schema validation error: destination.port must be an integer from 1 to 65535")
        return "TCP", port, "", ""
    if told.get("protocol") != "HTTP":
        raise Invalid("schema validation error: destination.protocol must be HTTP or TCP")
    method, uri = told.get("method", "POST"), told.get("URI")
    if method not in ("POST", "PUT") or told.get("encoding", "JSON") != "JSON":
        raise Invalid("schema validation error: destination.method must be POST or PUT, and destination.encoding JSON")
    try:
        parts = urlsplit(uri if isinstance(uri, str) else "")
        port = parts.port or 80
    except ValueError as error:
        raise Invalid(f"Invalid destination: {error}") from None
    if parts.scheme != "http" or parts.hostname not in HOSTS:
        raise Invalid(f"Invalid destination: destination.URI must be http://{HOSTS[0]}:PORT/PATH")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii() or any(character <= " " for character in path):
        raise Invalid("Invalid destination: destination.URI has characters that must be escaped")
    return "HTTP", port, path, method


class Subscriber:
    """One who has subscribed: what is to be brought, and the bringing of it, one batch at a time."""

    def __init__(self, name: str, subscription: Subscription, doors: Doors, clock: Clock) -> None:
        self.name = name
        self.subscription = subscription
        self._clock = clock
        self._doors = doors
        self._events: list[bytes] = []
        self._bytes = 0
        self._dropped = [0, 0]
        self._reason = SLOW
        self._timer: asyncio.TimerHandle | None = None
        self._sending: asyncio.Task[None] | None = None
        self._link: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._paused = False

    def add(self, kind: str, record: object, now: float, *, always: bool = False) -> None:
        told = self.subscription
        event = json.dumps({"time": timestamp(now), "type": kind, "record": record}, separators=(",", ":")).encode()
        full = self._bytes + len(event) > KEPT_BATCHES * told.max_bytes or len(self._events) >= KEPT_BATCHES * told.max_items
        if full and not always:
            self._drop(1, len(event), SLOW)
            return
        self._events.append(event)
        self._bytes += len(event)
        if self._bytes >= told.max_bytes or len(self._events) >= told.max_items:
            self.send()
        elif self._timer is None and not self._paused:
            self._timer = asyncio.get_running_loop().call_later(told.timeout, self.send)

    def send(self) -> None:
        """Brings what there is, unless it is being brought already."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sending is None and self._events and not self._paused:
            self._sending = asyncio.ensure_future(self._send())
            self._sending.add_done_callback(self._sent)

    def pause(self) -> None:
        """The environment is frozen: nobody in it reads."""
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        if self._events and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.subscription.timeout, self.send)

    async def flushed(self) -> None:
        """Returns when all that there is now has been brought, or cannot be."""
        self.send()
        if self._sending is not None:
            await asyncio.wait([self._sending])

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._sending is not None:
            self._sending.cancel()
        self._unlink()

    def _drop(self, events: int, size: int, reason: str) -> None:
        self._dropped[0] += events
        self._dropped[1] += size
        self._reason = reason

    async def _send(self) -> None:
        while self._events and not self._paused:
            batch, size = self._batch()
            for attempt in range(ATTEMPTS):
                try:
                    await self._bring(batch)
                    break
                except OSError:
                    self._unlink()
                    await asyncio.sleep(RETRY_SECONDS * (attempt + 1))
            else:
                self._drop(len(batch), size, UNREACHED)
                return
            if self._dropped[0]:
                records, lost = self._dropped
                self._dropped = [0, 0]
                if "platform" in self.subscription.types:
                    told = {"droppedBytes": lost, "droppedRecords": records, "reason": self._reason}
                    self.add("platform.logsDropped", told, self._clock.now(), always=True)

    def _batch(self) -> tuple[list[bytes], int]:
        size = taken = 0
        for event in self._events:
            if taken and (size + len(event) > self.subscription.max_bytes or taken >= self.subscription.max_items):
                break
            size += len(event)
            taken += 1
        batch = self._events[:taken]
        del self._events[:taken]
        self._bytes -= size
        return batch, size

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending = None
        if not task.cancelled() and task.exception() is None and self._events and self._timer is None and not self._paused:
            self._timer = asyncio.get_running_loop().call_later(self.subscription.timeout, self.send)

    async def _bring(self, batch: list[bytes]) -> None:
        told = self.subscription
        if self._link is None:
            self._link = await self._doors.connect(told.port)
        reader, writer = self._link
        if told.protocol == "TCP":
            writer.write(b"\n".join(batch) + b"\n")
            await writer.drain()
            return
        body = b"[" + b",".join(batch) + b"]"
        head = f"{told.method} {told.path} HTTP/1.1\r\nHost: {HOSTS[0]}:{told.port}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        if not await _answered(reader):
            self._unlink()

    def _unlink(self) -> None:
        if self._link is not None:
            self._link[1].close()
            self._link = None


async def _answered(reader: asyncio.StreamReader) -> bool:
    """Reads an answer; whether the connection may be used again. Raises OSError when it does not say that the batch was taken."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        first, *lines = head.splitlines()
        version, status = first.split()[:2]
        headers = dict(line.split(":", 1) for line in lines if ":" in line)
        length = int(headers["content-length"]) if "content-length" in headers else None
        if length is not None and length <= ANSWER_BYTES:
            await reader.readexactly(length)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, IndexError) as error:
        raise OSError(f"no answer: {error}") from error
    if not status.startswith("2"):
        raise OSError(f"status {status}")
    lasting = version == "http/1.1" and headers.get("connection", "").strip() != "close"
    return lasting and length is not None and length <= ANSWER_BYTES


class Telemetry:
    """All subscriptions of one environment."""

    def __init__(self, reporter: Reporter, doors: Doors, clock: Clock) -> None:
        self._reporter = reporter
        self._doors = doors
        self._clock = clock
        self._subscribers: list[Subscriber] = []
        self._open = True

    def __bool__(self) -> bool:
        return bool(self._subscribers)

    def subscribe(self, api: Api, name: str, body: bytes) -> tuple[int, dict[str, str] | str]:
        """Status and answer of a request to subscribe, by the extension `name`."""
        if not self._open:
            word = "Telemetry" if api == "TELEMETRY" else "Logs"
            return 403, _error(f"{word}.SubscriptionClosed", f"{word} API subscription is closed already")
        try:
            subscription = parse(api, body)
        except Invalid as error:
            return 400, _error("ValidationError", str(error))
        if any(other.subscription.api != api for other in self._subscribers if other.name == name):
            return 400, _error("ValidationError", "The extension has subscribed with the other API already")
        for other in [other for other in self._subscribers if other.name == name]:  # again: the new one counts
            other.close()
            self._subscribers.remove(other)
        subscriber = Subscriber(name, subscription, self._doors, self._clock)
        self._subscribers.append(subscriber)
        for kind, record, now in self._reporter.early:
            self._offer(subscriber, kind, record, now)
        self._reporter.telemetry = self
        self._reporter.detailed = True
        self._reporter.subscription(api, name, subscription.types)
        return 200, "OK"

    def close_subscriptions(self) -> None:
        """The initialisation is over."""
        self._open = False

    def platform(self, kind: str, record: Mapping[str, Any] | str, now: float) -> None:
        for subscriber in self._subscribers:
            self._offer(subscriber, kind, record, now)

    def line(self, category: Literal["function", "extension"], text: str) -> None:
        """What a function or an extension has printed."""
        now = self._clock.now()
        record: object = text.removesuffix("\n")
        if self._reporter.spec.log_format == "JSON" and category == "function":
            record = _parsed(text)
        for subscriber in self._subscribers:
            if category in subscriber.subscription.types:
                plain = subscriber.subscription.schema in ("2022-07-01", *SCHEMAS["LOGS"])
                subscriber.add(category, text.removesuffix("\n") if plain else record, now)

    def pause(self) -> None:
        for subscriber in self._subscribers:
            subscriber.pause()

    def resume(self) -> None:
        for subscriber in self._subscribers:
            subscriber.resume()

    def send(self) -> None:
        """Nobody waits for more to come with it."""
        for subscriber in self._subscribers:
            subscriber.send()

    async def flush(self) -> None:
        await asyncio.gather(*(subscriber.flushed() for subscriber in self._subscribers))

    def close(self) -> None:
        for subscriber in self._subscribers:
            subscriber.close()
        self._doors.close()

    def _offer(self, subscriber: Subscriber, kind: str, record: Mapping[str, Any] | str, now: float) -> None:
        told = subscriber.subscription
        if "platform" in told.types:
            for one, shown in [(kind, record)] if told.api == "TELEMETRY" else _of_logs_api(kind, record, told.schema):
                if one != "platform.fault" or told.api == "LOGS":
                    subscriber.add(one, shown, now)


def _of_logs_api(kind: str, record: Mapping[str, Any] | str, schema: str) -> Iterator[tuple[str, Any]]:
    """An event as the older API has it: fewer kinds, and fewer things in them."""
    if isinstance(record, str) or kind in ("platform.extension", "platform.logsSubscription", "platform.logsDropped"):
        yield kind, record
    elif kind == "platform.start":
        yield kind, {name: record[name] for name in ("requestId", "version")}
    elif kind == "platform.runtimeDone" and schema != "2020-08-15":
        status = "failure" if record["status"] == "error" else record["status"]
        yield kind, {"requestId": record["requestId"], "status": status}
    elif kind == "platform.report":
        yield "platform.end", {"requestId": record["requestId"]}
        yield kind, {name: record[name] for name in ("requestId", "metrics")}


def _parsed(text: str) -> object:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    return told if isinstance(told, dict) else text.removesuffix("\n")


def _error(kind: str, message: str) -> dict[str, str]:
    return {"errorType": kind, "errorMessage": message}
