"""Functions as they are invoked: looked up once and kept in memory until something about them changes."""

from dataclasses import dataclass, field

from haar.execution.contract import FunctionSpec
from haar.services.lambda_.errors import no_function
from haar.services.lambda_.names import LATEST, FunctionName, is_version
from haar.services.lambda_.records import (
    METADATA,
    EventConfig,
    Function,
    ImageUse,
    Settings,
    Version,
    find_alias,
    find_event_config,
    find_function,
    find_policy,
    find_version,
)
from haar.services.service import Host
from haar.store.cache import Cached

CACHED_FUNCTIONS = 5_000


@dataclass(frozen=True, slots=True)
class Target:
    """What one name and qualifier stand for."""

    name: FunctionName
    arn: str
    """With the qualifier, when the name has one."""
    specs: tuple[tuple[float, FunctionSpec], ...]
    """What runs, with the upper end of its share of the invocations: one, or two behind a weighted alias."""
    tags: dict[str, str]
    reserved: int | None
    policy: str | None
    """The resource policy of this name and qualifier."""
    policy_for_callers: str | None
    """The same when it can matter to a caller that has policies of its own (not when it only names services)."""
    events: EventConfig | None
    loops: str = "Terminate"
    dead_letter: str = ""
    state: str = ""
    """What keeps it from running: `Pending` or `Failed`; empty when nothing does."""
    sources: dict[tuple[str, str, str], float] = field(default_factory=dict)
    """Services on whose behalf the resource policy was just found to allow calls, each with the time until which that counts."""

    def choose(self, chance: float) -> FunctionSpec:
        """The version for an invocation; `chance` is in [0, 1)."""
        for share, spec in self.specs:
            if chance < share:
                return spec
        return self.specs[-1][1]


class Directory:
    def __init__(self, host: Host) -> None:
        self._store = host.store
        self._account = host.account
        self._targets: Cached[Target] = Cached(host.store, METADATA, self._load, CACHED_FUNCTIONS)

    async def find(self, name: FunctionName) -> Target:
        """Raises ResourceNotFoundException."""
        key = f"{name.region}|{name.account}|{name.name}|{name.qualifier}"
        return self._targets.peek(key) or await self._targets.get(key)

    async def _load(self, key: str) -> Target:
        name = FunctionName(*key.split("|"))
        function = await find_function(self._store, name) if name.account == self._account else None
        if function is None:
            raise no_function(name.qualified)
        versions = await self._versions(name, function)
        policy = await find_policy(self._store, name, name.qualifier)
        return Target(
            name,
            name.qualified,
            tuple((share, spec_of(name, function, version)) for share, version in versions),
            function.tags,
            function.reserved,
            policy.text() if policy else None,
            policy.text() if policy and policy.names_callers() else None,
            await find_event_config(self._store, name, name.qualifier or LATEST),
            function.loops,
            versions[-1][1].settings.dead_letter,
            next((state for _, version in versions if (state := _hindrance(version))), ""),
        )

    async def _versions(self, name: FunctionName, function: Function) -> list[tuple[float, Version]]:
        if name.qualifier in ("", LATEST):
            return [(1.0, function.latest)]
        if is_version(name.qualifier):
            return [(1.0, await self._version(name, name.qualifier))]
        alias = await find_alias(self._store, name, name.qualifier)
        if alias is None:
            raise no_function(name.qualified)
        versions: list[tuple[float, Version]] = []
        reached = 0.0
        for version, weight in alias.weights.items():
            reached += weight
            versions.append((reached, await self._version(name, version)))
        main = function.latest if alias.version == LATEST else await self._version(name, alias.version)
        return [*versions, (1.0, main)]

    async def _version(self, name: FunctionName, version: str) -> Version:
        found = await find_version(self._store, name, version)
        if found is None:
            raise no_function(name.at(version).qualified)
        return found


def _hindrance(version: Version) -> str:
    return "Pending" if version.preparing == "create" else "Failed" if version.failed == "create" else ""


def spec_of(name: FunctionName, function: Function, version: Version) -> FunctionSpec:
    settings: Settings = version.previous or version.settings
    image = settings.image or ImageUse(uri="", digest="", resolved="")
    return FunctionSpec(
        arn=name.arn,
        name=name.name,
        version=version.version,
        region=name.region,
        account=name.account,
        runtime=settings.runtime,
        handler=settings.handler,
        code_sha256=settings.code_sha256,
        role_arn=settings.role,
        revision=f"{function.id}/{version.generation}",
        memory_mb=settings.memory,
        timeout=float(settings.timeout),
        ephemeral_mb=settings.ephemeral,
        environment=tuple(sorted((settings.environment or {}).items())),
        architecture=settings.architecture,
        layers=tuple(layer.sha256 for layer in settings.layers),
        log_group=settings.log_group or f"/aws/lambda/{name.name}",
        log_format="JSON" if settings.log_format == "JSON" else "Text",
        application_level=settings.application_level if settings.log_format == "JSON" else "",
        system_level=settings.system_level if settings.log_format == "JSON" else "",
        reserved_concurrency=function.reserved,
        image=image.uri,
        entry_point=tuple(image.entry_point),
        command=tuple(image.command),
        working_directory=image.working_directory,
        snap_start=settings.snap_start == "PublishedVersions" and version.version != LATEST,
    )
