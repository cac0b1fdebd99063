"""The execution log of one request, in AWS's words."""

from collections.abc import Iterable
from datetime import UTC, datetime

from haar.clock import Clock

MAX_LINE = 1024
"""What of one value a line shows; the rest is `[TRUNCATED]`."""


class ExecutionLog:
    def __init__(self, clock: Clock, request_id: str) -> None:
        self._clock = clock
        self._lines = [f"Execution log for request {request_id}"]

    def add(self, text: str) -> None:
        when = datetime.fromtimestamp(self._clock.now(), UTC).strftime("%a %b %d %H:%M:%S UTC %Y")
        self._lines.append(f"{when} : {text}")

    def text(self) -> str:
        return "\n".join(self._lines) + "\n"


def pairs(values: Iterable[tuple[str, str]]) -> str:
    """As Java prints a map: `{a=1, b=2}`."""
    return "{" + ", ".join(f"{name}={value}" for name, value in values) + "}"


def masked(secret: str) -> str:
    """All but the end of what is not for a log."""
    shown = 6 if len(secret) > 6 else 0
    return "*" * (len(secret) - shown) + secret[len(secret) - shown :]


def shorten(body: bytes) -> str:
    text = body[: MAX_LINE + 1].decode("utf-8", "replace")
    return text if len(text) <= MAX_LINE else text[:MAX_LINE] + " [TRUNCATED]"
