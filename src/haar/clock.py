"""Time and identifiers, taken from the context so that tests decide them."""

import secrets
import time
import uuid
from typing import Protocol

ALPHANUMERIC = "abcdefghijklmnopqrstuvwxyz0123456789"


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch."""
        ...


class SystemClock:
    def now(self) -> float:
        return time.time()


class Ids(Protocol):
    """Where fresh identifiers come from."""

    def uuid(self) -> str:
        """A version 4 UUID, lower case with dashes."""
        ...

    def text(self, length: int, alphabet: str = ALPHANUMERIC) -> str:
        """`length` unpredictable characters of `alphabet`."""
        ...

    def bytes(self, length: int) -> bytes: ...


class RandomIds:
    """Identifiers from the operating system's random source."""

    def uuid(self) -> str:
        return str(uuid.uuid4())

    def text(self, length: int, alphabet: str = ALPHANUMERIC) -> str:
        return "".join(secrets.choice(alphabet) for _ in range(length))

    def bytes(self, length: int) -> bytes:
        return secrets.token_bytes(length)
