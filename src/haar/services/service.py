"""The face that every service has: its operations, what they demand of policies, and what it runs besides."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from haar.auth.principal import Principal
from haar.clock import Clock, Ids
from haar.config import Config
from haar.store.contract import Store
from haar.wire.errors import ServiceError
from haar.wire.http import Request, Response

if TYPE_CHECKING:
    from haar.execution.contract import Executor

T = TypeVar("T")

Input = dict[str, Any]
Output = Mapping[str, Any]


class NoService(LookupError):
    """A call between services is for one that haar does not have, or for an operation that its service has not."""


@dataclass(frozen=True, slots=True)
class ServiceCall:
    """An API operation that one service calls of another for somebody: it takes the whole way of a request but for the signature."""

    endpoint: str
    """Which service, as its host names at AWS begin: `dynamodb`, `streams.dynamodb`, `monitoring`."""
    request: Request
    principal: Principal
    """As whom: what this may is what the call may."""
    region: str
    action: str = ""
    """The operation, when the request does not name it itself."""


class Host:
    """What services stand on, and how they find their own objects. One a platform; made by `haar.platform`."""

    def __init__(self, config: Config, store: Store, clock: Clock, ids: Ids, account: str, secret: bytes) -> None:
        self.config = config
        self.store = store
        self.clock = clock
        self.ids = ids
        self.account = account
        self.secret = secret
        """32 bytes, kept in the store: seals session tokens and signs the platform's own URLs."""
        self.executor: Executor | None = None
        """Runs functions; None until the platform has started it."""
        self.call: Callable[[ServiceCall], Awaitable[Response]] | None = None
        """Calls another service's API by the gateway's pipeline; None until the platform has it. Raises NoService."""
        self._objects: dict[type, Any] = {}

    def get(self, kind: "type[T]") -> T:
        """The host's one object of this class, made by `kind(host)` when it is first asked for: caches, registries, pools of a service."""
        found = self._objects.get(kind)
        if found is None:
            found = self._objects[kind] = kind(self)  # type: ignore[call-arg]  # by convention
        return cast(T, found)


@dataclass(slots=True)
class Context:
    """One call of one operation."""

    host: Host
    principal: Principal
    region: str
    request_id: str
    operation: str = ""
    source_ip: str = "127.0.0.1"
    user_agent: str = ""
    secure: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    """The request's headers by lower-case name (a service reads what its model does not have, `x-amz-…`)."""

    @property
    def account(self) -> str:
        return self.host.account

    @property
    def store(self) -> Store:
        return self.host.store

    def now(self) -> float:
        return self.host.clock.now()


@dataclass(slots=True)
class Demand:
    """One thing that must be allowed before an operation runs."""

    action: str
    """`dynamodb:GetItem`"""
    resource: str = "*"
    """The ARN, or `*` for actions that have no resource."""
    conditions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The service's own condition keys of this request (`dynamodb:LeadingKeys`); the global ones are added by the gateway."""
    resource_policy: str | None = None
    """The resource's own policy document (JSON), when it has one."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """The resource's tags (aws:ResourceTag/…)."""
    denied: Callable[[ServiceError], None] | None = None
    """Told of the refusal where only a part of the request is refused for it; otherwise all of the request is."""


def not_locking_out(caller: Principal, account: str, demands: Sequence[Demand]) -> list[Demand]:
    """Demands for taking a resource policy away: it does not bind the root of its own account, which so is never locked out."""
    if caller.kind != "root" or caller.account != account:
        return list(demands)
    return [replace(demand, resource_policy=None) for demand in demands]


Demands = Callable[[Context, Input], "Awaitable[Sequence[Demand]] | Sequence[Demand]"]
Handler = Callable[[Context, Input], Awaitable[Output]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One AWS API operation that is built here."""

    name: str
    handler: Handler
    demands: Demands
    signed: bool = True
    """Whether it takes a signature; one that takes none finds out itself who calls, while it says what it demands."""


class Route(Protocol):
    """Something that is served besides AWS's API: a deployed API, a function URL, a code download."""

    def matches(self, request: Request) -> bool:
        """Whether this request is the route's, by host or path; cheap, no I/O."""
        ...

    async def serve(self, host: Host, request: Request, request_id: str) -> Response | None:
        """The answer; None when it turns out to be another's."""
        ...


Background = Callable[[Host], Awaitable[None]]


async def keep_writing(write: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Background work: writes down what was noted in memory for as long as the platform stands, and what is left when it stops."""
    try:
        while True:
            await asyncio.sleep(seconds)
            await write()
    finally:
        await write()


class Service:
    """One AWS service: declared once in its package's `__init__.py`; holds no state (that is in `Host.get`)."""

    def __init__(
        self,
        name: str,
        *,
        signing_name: str | None = None,
        prefix: str | None = None,
        opaque: frozenset[str] = frozenset(),
        check: Callable[[str, Input], None] | None = None,
        eager: bool = False,
        long_ids: bool = False,
        only_region: str = "",
        malformed_first: bool = False,
        large: frozenset[str] = frozenset(),
        most_bytes: int | None = None,
    ) -> None:
        """`name` is botocore's (`dynamodb`), `prefix` that of its actions (`dynamodb:`), `opaque` the shapes that the codec leaves as
        JSON has them, and `check` replaces the codec's constraint validation where the service's own differs.

        `eager` operations are run without a task until they first wait: before that they may not use asyncio.timeout or the current task.
        `long_ids`: its request ids are DynamoDB's 52 characters, not UUIDs.
        `malformed_first`: says of a request that it is malformed before it says that it is not signed.
        `large`: operations whose bodies may be packages: JSON that is read in slices, long blobs being bytearrays.
        `most_bytes`: what a body may have, where that is less than the server takes.
        `only_region`: where a global service is, whatever region its callers sign for.
        """
        self.name = name
        self.signing_name = signing_name or name
        self.prefix = prefix or name
        self.opaque = opaque
        self.check = check
        self.eager = eager
        self.long_ids = long_ids
        self.only_region = only_region
        self.malformed_first = malformed_first
        self.large = large
        self.most_bytes = most_bytes
        self.operations: dict[str, Operation] = {}
        self.routes: list[Route] = []
        self.background: list[Background] = []
        """Run by the platform for as long as it stands; one that ends with an error is logged and started again."""

    def operation(self, name: str, demands: Demands, *, signed: bool = True) -> Callable[[Handler], Handler]:
        """Registers the decorated function as the operation `name`; `demands` says what must be allowed for one call of it."""

        def register(handler: Handler) -> Handler:
            if name in self.operations:
                raise ValueError(f"{self.name}: {name} is registered twice")
            self.operations[name] = Operation(name, handler, demands, signed)
            return handler

        return register
