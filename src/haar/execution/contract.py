"""Running a function: what must be known of it, what comes back, and what the platform provides meanwhile."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from haar.execution.images import Images


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """Everything that decides how a function runs, as a value: environments are shared by equal specs and never by different ones."""

    arn: str
    """Unqualified: `arn:aws:lambda:REGION:ACCOUNT:function:NAME`."""
    name: str
    version: str
    region: str
    account: str
    runtime: str
    """The identifier as configured (`python3.12`, `nodejs20.x`, `provided.al2023`)."""
    handler: str
    code_sha256: str
    """Base64, as the API shows it; names the package in `Surroundings.fetch_code`."""
    role_arn: str
    revision: str
    """Moves with every change of code or configuration."""
    memory_mb: int = 128
    timeout: float = 3.0
    ephemeral_mb: int = 512
    environment: tuple[tuple[str, str], ...] = ()
    architecture: str = "x86_64"
    layers: tuple[str, ...] = ()
    """Code hashes of layers, in order of merging."""
    log_group: str = ""
    log_format: Literal["Text", "JSON"] = "Text"
    application_level: str = ""
    """ApplicationLogLevel and SystemLogLevel, of a log that is JSON."""
    system_level: str = ""
    reserved_concurrency: int | None = None
    image: str = ""
    """The ImageUri of a container image; then `code_sha256` is the digest of its manifest in hexadecimal digits."""
    entry_point: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    working_directory: str = ""
    """These three instead of what the image says, where they are set."""
    snap_start: bool = False
    """Whether it is initialised once and its environments are restored from a snapshot of that."""


@dataclass(frozen=True, slots=True)
class InvocationResult:
    payload: bytes
    """The handler's answer, or the error object when `error` is set."""
    error: Literal["Unhandled"] | None = None
    log_tail: bytes = b""
    """The last 4 KB of the log of this invocation."""
    duration_ms: float = 0.0
    billed_ms: int = 0
    init_ms: float | None = None
    max_memory_mb: int = 0


class Throttled(Exception):
    """No environment may be started: `reason` as TooManyRequestsException has it."""

    def __init__(
        self,
        reason: Literal[
            "ReservedFunctionConcurrentInvocationLimitExceeded",
            "ConcurrentInvocationLimitExceeded",
            "FunctionInvocationRateLimitExceeded",
        ],
    ) -> None:
        super().__init__(reason)
        self.reason = reason


class NotInitialised(Exception):
    """A function of which a snapshot was to be made has failed before: the kind of the fault, and what it said."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class NotRestored(Exception):
    """A function's own hook has failed after its snapshot was restored, or took too long."""

    def __init__(self, *, timed_out: bool) -> None:
        super().__init__("timed out" if timed_out else "failed")
        self.timed_out = timed_out


class Unavailable(Exception):
    """Functions cannot run here (no sandbox on this host); the message says what to do."""


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """Temporary credentials of an execution role."""

    access_key_id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)
    expires: float


class Listener(Protocol):
    def close(self) -> None: ...


class Surroundings(Protocol):
    """What environments need of the platform; implemented by the Lambda service (and the gateway, for `listen`)."""

    async def fetch_code(self, code_sha256: str) -> bytes:
        """The package, a zip archive."""
        ...

    async def credentials(self, spec: FunctionSpec) -> SessionKeys:
        """Fresh credentials of the function's role, session name the function's name."""
        ...

    async def log(self, spec: FunctionSpec, stream: str, events: Sequence[tuple[int, str]]) -> None:
        """Writes (epoch ms, message) to the function's log group, as its role may; never raises."""
        ...

    def listen(self, listening: socket.socket, environment: str) -> Listener:
        """Serves AWS's API to the environment on its own listening socket (from inside: AWS_ENDPOINT_URL)."""
        ...

    def listen_securely(self, listening: socket.socket) -> Listener:
        """Serves the same by TLS, with a certificate of the local authority for whichever host is asked for."""
        ...

    def serves(self, name: str) -> bool:
        """Whether the platform has the service that AWS has at this host name."""
        ...


class Flow(Protocol):
    """Where a streamed response comes from: stopped while its reader is slow."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Sink(Protocol):
    """Takes a response while the function still writes it. Never called when the function does not stream."""

    def begin(self, content_type: str, flow: Flow) -> None: ...

    def write(self, data: bytes) -> None: ...


class Executor(Protocol):
    @property
    def images(self) -> "Images":
        """The container images of functions."""
        ...

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Ends all environments; within 3 seconds nothing of them is left."""
        ...

    async def invoke(
        self,
        spec: FunctionSpec,
        event: bytes,
        *,
        request_id: str,
        invoked_arn: str,
        client_context: str | None = None,
        trace_id: str | None = None,
        sink: Sink | None = None,
    ) -> InvocationResult:
        """Runs one invocation in a free environment of this spec, or in a new one. Raises Throttled, NotRestored, Unavailable.

        With a `sink`, what the function streams goes there and the result's payload is empty; the result is the stream's end.
        """
        ...

    async def snapshot(self, spec: FunctionSpec) -> None:
        """Initialises a version with SnapStart and keeps a snapshot of it. Raises NotInitialised, Throttled, Unavailable."""
        ...

    async def forget(self, arn: str, version: str = "") -> None:
        """Removes the snapshots of a function that is deleted, or of one version of it."""
        ...

    async def unpack(self, code_sha256: str) -> None:
        """Unpacks a function's code before anyone asks for it."""
        ...

    def provision(self, wanted: Mapping[FunctionSpec, int]) -> None:
        """Keeps so many environments of these specs ready, and of no others."""
        ...

    def provisioned(self, spec: FunctionSpec) -> tuple[int, str]:
        """How many of them are ready, and why the last one could not be started (empty when it could)."""
        ...

    async def retire(self, arn: str) -> None:
        """Ends the function's environments: idle ones at once, busy ones when they are done."""
        ...
