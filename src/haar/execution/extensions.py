"""The extensions of one environment and their API (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html).

Pure but for the connections that it answers: the environment says when phases begin, and hears of every change.
"""

import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from haar.clock import Ids
from haar.execution.contract import FunctionSpec
from haar.execution.report import trace
from haar.execution.runtime_api import Connection, Event, Posted

PREFIX = "/2020-01-01/extension/"
LIMIT = 10
NAME_LENGTH = 128
EVENTS = ("INVOKE", "SHUTDOWN")
IDENTIFIER = "lambda-extension-identifier"
ERROR_TYPE = "lambda-extension-function-error-type"
UUID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")

State = Literal["Started", "Registered", "Ready", "Running", "InitError", "ExitError", "Exited", "LaunchError"]


@dataclass(slots=True)
class Extension:
    name: str
    external: bool
    """A process of its own, of /opt/extensions."""
    id: str
    state: State = "Started"
    events: tuple[str, ...] = ()
    error: str = ""
    """Why it has failed, as the log says it."""
    waiting: Connection | None = None
    pending: bytes | None = None
    """An event that it has not fetched yet."""


class Refused(Exception):
    """403, with the type and message of the answer."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def names_in(opt: Path | None) -> tuple[str, ...]:
    """The external extensions of merged layers, in the order in which they are started."""
    if opt is None:
        return ()
    directory = opt / "extensions"
    if opt.is_symlink() or directory.is_symlink() or not directory.is_dir():
        return ()  # a link of a package's would be followed on the host
    return tuple(sorted(entry.name for entry in directory.iterdir() if not entry.is_dir()))


class Extensions:
    """Who is there, and in what state. `changed` is called when someone has come further, `failed` with the error that one tells of."""

    def __init__(
        self, spec: FunctionSpec, external: Sequence[str], ids: Ids, changed: Callable[[], None], failed: Callable[[str], None]
    ) -> None:
        self._spec = spec
        self._ids = ids
        self._changed = changed
        self._failed = failed
        self._by_id: dict[str, Extension] = {}
        self._open = True
        for name in external:
            self._add(name, external=True)

    def _add(self, name: str, *, external: bool) -> Extension:
        extension = Extension(name, external, self._ids.uuid())
        self._by_id[extension.id] = extension
        return extension

    def __iter__(self) -> Iterator[Extension]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def named(self, name: str) -> Extension | None:
        return next((extension for extension in self if extension.name == name), None)

    @property
    def registered(self) -> bool:
        """Whether all external ones have registered."""
        return all(extension.state != "Started" for extension in self)

    def close(self) -> None:
        """Nobody else may register: the runtime is ready."""
        self._open = False

    @property
    def ready(self) -> bool:
        """Whether all of them have asked for their first event."""
        return all(extension.state == "Ready" for extension in self)

    @property
    def resting(self) -> bool:
        """Whether all who heard of the invocation have asked for more."""
        return all(extension.state != "Running" for extension in self if "INVOKE" in extension.events)

    def invoke(self, event: Event) -> None:
        """Tells those who want to hear of an invocation."""
        told: dict[str, Any] = {
            "eventType": "INVOKE", "deadlineMs": event.deadline_ms, "requestId": event.request_id, "invokedFunctionArn": event.invoked_arn,
        }  # fmt: skip
        if event.trace_id:
            told["tracing"] = trace(event.trace_id)
        for extension in self:
            if "INVOKE" in extension.events:
                self._tell(extension, told)

    def shut_down(self, reason: str, deadline_ms: int) -> list[Extension]:
        """Tells the external ones who want to hear of the end; who they are."""
        told = {"eventType": "SHUTDOWN", "deadlineMs": deadline_ms, "shutdownReason": reason}
        hearing = [extension for extension in self if extension.external and "SHUTDOWN" in extension.events]
        for extension in hearing:
            self._tell(extension, told)
        return hearing

    def gone(self, connection: Connection) -> None:
        for extension in self:
            if extension.waiting is connection:
                extension.waiting = None

    def identify(self, posted: Posted) -> Extension:
        """Who asks. Raises Refused."""
        told = posted.headers.get(IDENTIFIER, "")
        if not told:
            raise Refused("Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header")
        if not UUID.fullmatch(told):
            raise Refused("Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier")
        extension = self._by_id.get(str(uuid.UUID(told)))
        if extension is None:
            what = "Unknown Lambda-Extension-Identifier" if posted.path.endswith("/error") else f"Unknown extension {uuid.UUID(told)}"
            raise Refused("Extension.UnknownExtensionIdentifier", what)
        return extension

    def request(self, connection: Connection, posted: Posted) -> None:
        """Answers a request whose path begins with PREFIX."""
        what = (posted.method, posted.path.removeprefix(PREFIX))
        try:
            if what == ("POST", "register"):
                self._register(connection, posted)
            elif what == ("GET", "event/next"):
                self._next(connection, self.identify(posted))
            elif what in (("POST", "init/error"), ("POST", "exit/error")):
                self._error(connection, posted, self.identify(posted))
            else:
                connection.refuse(404, "Not found", "")
        except Refused as refused:
            connection.refuse(403, str(refused), refused.kind)

    def _register(self, connection: Connection, posted: Posted) -> None:
        name = posted.headers.get("lambda-extension-name", "")[:NAME_LENGTH]
        if not name:
            raise Refused("Extension.InvalidExtensionName", "Empty extension name")
        events = _events(bytes(posted.body))
        extension = self.named(name)
        if extension is not None and not extension.external:
            raise Refused("Extension.InvalidExtensionState", "Extension with this name already registered")
        for event in events:
            if event not in EVENTS:
                raise Refused("Extension.InvalidEventType", f"{event}: ErrorInvalidEventType")
            if event == "SHUTDOWN" and extension is None:
                raise Refused("Extension.InvalidEventType", f"{event}: ShutdownEventNotSupportedForInternalExtension")
        if extension is None:
            if not self._open:
                raise Refused("Extension.RegistrationClosed", "Extension registration closed already")
            if len(self) >= LIMIT:
                raise Refused("Extension.TooManyExtensions", f"Extension limit ({LIMIT}) reached")
            extension = self._add(name, external=False)
        elif extension.state != "Started":
            raise _not_allowed(extension, "Registered", name)
        extension.state = "Registered"
        extension.events = tuple(event for event in EVENTS if event in events)
        told = {"functionName": self._spec.name, "functionVersion": self._spec.version, "handler": self._spec.handler}
        if "accountId" in [feature.strip() for feature in posted.headers.get("lambda-extension-accept-feature", "").split(",")]:
            told["accountId"] = self._spec.account
        connection.answer(200, json.dumps(told).encode(), f"Lambda-Extension-Identifier: {extension.id}\r\n")
        self._changed()

    def _next(self, connection: Connection, extension: Extension) -> None:
        again = extension.state == "Ready" and extension.waiting is None
        if extension.state not in ("Registered", "Running") and not again:
            raise _not_allowed(extension, "Ready", extension.id)
        extension.waiting = connection
        connection.suspend()
        if extension.pending is not None:
            extension.state = "Running"
            self._deliver(extension, extension.pending)
            return
        extension.state = "Ready"
        self._changed()

    def _error(self, connection: Connection, posted: Posted, extension: Extension) -> None:
        initial = posted.path.endswith("init/error")
        state: State = "InitError" if initial else "ExitError"
        kind = posted.headers.get(ERROR_TYPE, "")
        if not kind:
            raise Refused("Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found")
        if extension.state not in ("Registered", state) and (initial or extension.state not in ("Ready", "Running")):
            raise _not_allowed(extension, state if initial else "Exited", extension.id)
        if extension.state != state:
            extension.state, extension.error = state, kind
        connection.accept()
        self._failed("Extension.InitError" if initial else "Extension.ExitError")

    def _tell(self, extension: Extension, told: Mapping[str, Any]) -> None:
        data = json.dumps(told, separators=(",", ":")).encode()
        if extension.state not in ("Ready", "Running"):
            return
        waiting = extension.state == "Ready"
        extension.state = "Running"
        if waiting and extension.waiting is not None:
            self._deliver(extension, data)
        else:
            extension.pending = data

    def _deliver(self, extension: Extension, data: bytes) -> None:
        connection, extension.waiting, extension.pending = extension.waiting, None, None
        if connection is not None and not connection.hand_out(data, f"Lambda-Extension-Event-Identifier: {self._ids.uuid()}\r\n"):
            extension.pending = data


def _events(body: bytes) -> list[str]:
    """The events of a registration. Raises Refused."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        message = "invalid character in the body: it is not JSON" if body else "unexpected end of JSON input"
        raise Refused("InvalidRequestFormat", message) from None
    events = told.get("events") or [] if isinstance(told, dict) else None
    if not isinstance(events, list) or not all(isinstance(event, str) for event in events):
        raise Refused("InvalidRequestFormat", "json: cannot unmarshal the body into Go value of type handler.RegisterRequest")
    if told.get("configurationKeys"):
        raise Refused("InvalidRequestFormat", "configurationKeys are deprecated; use environment variables instead")
    return events


def _not_allowed(extension: Extension, wanted: str, shown: str) -> Refused:
    message = f"State transition from {extension.state} to {wanted} failed for extension {shown}. Error: State transition is not allowed"
    return Refused("Extension.InvalidExtensionState", message)
