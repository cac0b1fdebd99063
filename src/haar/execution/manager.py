"""Runs functions: finds a free environment, starts another, or says that there is no room."""

import asyncio
import contextlib
import functools
import logging
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from haar.clock import Clock, Ids
from haar.config import Config
from haar.execution import cgroups, probe, runtimes
from haar.execution.box import Box, Boxes, Wanted
from haar.execution.contract import (
    FunctionSpec,
    InvocationResult,
    NotInitialised,
    NotRestored,
    SessionKeys,
    Sink,
    Surroundings,
    Throttled,
    Unavailable,
)
from haar.execution.environment import INIT_SECONDS, RENEW_SECONDS, Environment, error_object
from haar.execution.extensions import names_in
from haar.execution.fairness import WARM_SECONDS, Memory, Turns
from haar.execution.images import BadImage, Images
from haar.execution.machine import clean_directories, raise_file_limit, running_threads
from haar.execution.output import LogWriter, stream_name
from haar.execution.package import BadPackage, Packages
from haar.execution.provisioned import Provisioned
from haar.execution.report import TIMED_OUT, Phase
from haar.execution.runtime_api import Event
from haar.execution.scaling import Scaling
from haar.execution.snapshots import Restored, Snapshots, Taken
from haar.execution.spawner import Spawner
from haar.execution.standby import Standby
from haar.execution.variables import restored, snapped, variables

ACCOUNT_CONCURRENCY = 1000
SWEEP_SECONDS = 1.0
FINISHING_SECONDS = 0.02
"""How long a call waits for an environment that has answered and not yet asked for more, before another is started."""
TURN_SECONDS = 0.01
"""How often it is looked whether the processors have time for another initialisation."""
STOP_SECONDS = 1.4
SNAPSHOT_SECONDS = 130.0
"""How long an initialisation for SnapStart may take, or as long as the function's timeout if that is more."""
RESTORE_SECONDS = 10.0
AFTER_RESTORE = "Runtime.AfterRestoreError"

log = logging.getLogger("haar.execution")


Found = Environment | InvocationResult | None
"""What a call that waits gets: an environment, the function's own fault instead of one, or nothing: then it looks again."""


@dataclass(slots=True)
class Pool:
    """The environments of one spec."""

    idle: list[Environment] = field(default_factory=list)
    """The last used is the last: it is the warmest."""
    finishing: set[Environment] = field(default_factory=set)
    all: set[Environment] = field(default_factory=set)
    waiters: list[asyncio.Future[Found]] = field(default_factory=list)
    """Calls without an environment, in the order of their coming."""
    coming: int = 0
    """Environments that are started because a call waited."""
    starting: int = 0
    """Environments under way to being in `all`."""

    async def first(self, waiter: "asyncio.Future[Found]") -> Found:
        """What the waiter gets; who is cancelled while it waits leaves it to others."""
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and isinstance(environment := waiter.result(), Environment):
                environment.release()
            raise
        finally:
            if waiter in self.waiters:
                self.waiters.remove(waiter)

    def wait(self) -> "asyncio.Future[Found]":
        waiter: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        self.waiters.append(waiter)
        return waiter

    async def finished(self) -> Found:
        """One of the finishing environments, as soon as it asks for more; None when that takes too long."""
        waiter = self.wait()
        timer = asyncio.get_running_loop().call_later(FINISHING_SECONDS, give_up, waiter)
        try:
            return await self.first(waiter)
        finally:
            timer.cancel()

    def give(self, found: Found) -> bool:
        """Gives it to the call that has waited longest; whether there is one."""
        while self.waiters:
            waiter = self.waiters.pop(0)
            if not waiter.done():
                waiter.set_result(found)
                return True
        return False


class Manager:
    """The Executor of one machine."""

    def __init__(self, config: Config, surroundings: Surroundings, clock: Clock, ids: Ids) -> None:
        self._config = config
        self._surroundings = surroundings
        self._clock = clock
        self._ids = ids
        self._token = ids.text(8)
        self._directory = config.data.resolve() / "run" / f"execution-{self._token}"
        self._packages = Packages(config.data.resolve() / "cache" / "code", surroundings.fetch_code)
        self.images = Images(config.data.resolve() / "images", auth=config.registry_auth, sources=config.image_sources)
        self._memory = Memory(cgroups.budget_mb(config.memory_mb))
        self._pools: dict[FunctionSpec, Pool] = {}
        self._running: Counter[str] = Counter()
        self._total = 0
        """Calls of functions without reserved concurrency, which share the account's."""
        self._hierarchy: cgroups.Hierarchy | None = None
        self._spawner = Spawner()
        self._boxes: Boxes | None = None
        self._standby: Standby | None = None
        self.refused: str | None = None
        """Why functions cannot run here, once it has started."""
        self._snapshots = Snapshots(config.data.resolve() / "cache" / "snapshots", self._take_snapshot)
        self._scaling = Scaling()
        self._turns = Turns()
        self._initialising = 0
        self._few = 2 * (os.cpu_count() or 1)
        """So many environments are initialised at once whatever the processors do, and so many threads may run before another is."""
        self._snapped = Pool()
        """Environments that are only there until their snapshot is."""
        self._provisioned = Provisioned(self._present, self._start_ready)
        self._provisioner: asyncio.Task[None] | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def start(self) -> None:
        """Makes ready. Where functions cannot run, `invoke` says why; the platform starts all the same."""
        await asyncio.to_thread(clean_directories, self._directory.parent)
        first = (self._packages.trim, self._snapshots.trim, self.images.trim, runtimes.look)
        await asyncio.gather(*(asyncio.to_thread(do) for do in first))
        if self._config.sandbox == "bubblewrap":
            self.refused = await probe.refusal()
            if self.refused is not None:
                return
        raise_file_limit()
        self._directory.mkdir(parents=True)
        (self._directory / "owner").write_text(probe.process_identity())
        self._hierarchy = cgroups.detect(self._token)
        if self._hierarchy is not None:
            cgroups.clean(self._hierarchy)
            self._hierarchy.prepare(self._memory.budget_mb)
        self._spawner = Spawner(self._hierarchy.paths() if self._hierarchy is not None else ())
        await self._spawner.start()
        self._boxes = Boxes(self._config, self._directory, self._spawner, self._hierarchy, self._ids)
        await self._boxes.prepare()
        self._standby = Standby(self._boxes)
        self._sweeper = asyncio.ensure_future(self._sweep())
        self._provisioner = asyncio.ensure_future(self._provisioned.run())
        self._spawner.closed = self._restart
        self._standby.want(runtimes.resolve(runtimes.DEFAULT), sdk=False)

    def _restart(self) -> None:
        """The nursery has died, and all environments with it: another takes its place."""
        if not self._stopping:
            task = asyncio.ensure_future(self._spawner.start())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def stop(self) -> None:
        self._stopping = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._provisioner is not None:
            self._provisioner.cancel()
        if self._standby is not None:
            await self._standby.stop()
        environments = [environment for pool in [*self._pools.values(), self._snapped] for environment in pool.all]
        for environment in environments:
            environment.end(limit=STOP_SECONDS - 0.2)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await asyncio.gather(*(environment.ended() for environment in environments), *self._ending, return_exceptions=True)
        await self._spawner.stop()
        if self._hierarchy is not None:
            self._hierarchy.remove()
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

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
        if self._boxes is None or self._stopping:
            raise Unavailable(self.refused or "haar is not running functions now")
        self._admit(spec)
        self._running[spec.arn] += 1
        self._total += spec.reserved_concurrency is None
        pool = self._pools.get(spec)
        if pool is None:
            pool = self._pools[spec] = Pool()
        environment = self._free(pool)
        while environment is None:
            try:
                found = await self._another(spec, pool)
            except BaseException:
                self._done(spec)
                self._forget(spec)
                raise
            if isinstance(found, InvocationResult):
                self._done(spec)
                return found
            environment = None if found.lost and not self._stopping else found
        deadline = int((self._clock.now() + spec.timeout) * 1000)
        event_ = Event(request_id, event, deadline, invoked_arn, trace_id, client_context, sink)
        return await environment.invoke(event_, lambda: self._done(spec))

    def _done(self, spec: FunctionSpec) -> None:
        self._total -= spec.reserved_concurrency is None
        self._running[spec.arn] -= 1
        if not self._running[spec.arn]:
            del self._running[spec.arn]

    async def retire(self, arn: str) -> None:
        for spec, pool in list(self._pools.items()):
            if spec.arn == arn:
                for environment in list(pool.all):
                    environment.retire()

    async def snapshot(self, spec: FunctionSpec) -> None:
        if self._boxes is None or self._stopping:
            raise Unavailable(self.refused or "haar is not running functions now")
        if self._boxes.isolated:
            await self._snapshots.take(spec)

    async def _take_snapshot(self, spec: FunctionSpec, taken: Taken) -> None:
        try:
            wanted, keys = await asyncio.gather(self._wanted(spec), self._surroundings.credentials(spec))
        except (runtimes.UnknownRuntime, BadPackage, BadImage) as error:
            raise NotInitialised("Runtime.Unknown", str(error)) from None
        if wanted.runtime.kind != "python" or names_in(wanted.opt):
            return taken.refuse("only a Python process without external extensions can be written down")
        self._initialising += 1
        try:
            await self._reserve(spec)
        finally:
            self._initialising -= 1
        try:
            limit = max(SNAPSHOT_SECONDS, spec.timeout)
            environment = await self._start(spec, self._snapped, wanted, keys, limit, snapshot=taken)
        except OSError as error:
            raise Unavailable(f"a function cannot be started: {error}") from error
        kind, message = environment.fault
        environment.end()
        await environment.ended()
        if kind:
            raise NotInitialised(kind, message)
        if taken.refusal:
            log.warning("%s:%s: environments are initialised, not restored: %s", spec.arn, spec.version, taken.refusal)
        return None

    async def forget(self, arn: str, version: str = "") -> None:
        await asyncio.to_thread(self._snapshots.forget, arn, version)

    async def unpack(self, code_sha256: str) -> None:
        if self._boxes is not None:
            with contextlib.suppress(BadPackage):  # who invokes it hears of it
                await self._packages.code(code_sha256)

    def provision(self, wanted: Mapping[FunctionSpec, int]) -> None:
        self._provisioned.want(wanted)

    def provisioned(self, spec: FunctionSpec) -> tuple[int, str]:
        pool = self._pools.get(spec)
        ready = sum(environment.state in ("idle", "busy", "finishing") for environment in pool.all) if pool is not None else 0
        return min(ready, self._provisioned.wanted(spec)), self._provisioned.failure(spec)

    def _present(self, spec: FunctionSpec) -> int:
        pool = self._pools.get(spec)
        return len(pool.all) if pool is not None else 0

    def _spare(self, environment: Environment) -> bool:
        """Whether an idle environment may be ended: it is not one that is kept ready."""
        return self._present(environment.spec) > self._provisioned.wanted(environment.spec)

    async def _start_ready(self, spec: FunctionSpec) -> str | None:
        """Starts an environment before anyone asks for it; why it could not be started."""
        if self._stopping:
            return "haar is not running functions now"
        pool = self._pools.setdefault(spec, Pool())
        found = await self._launch(spec, pool)
        if isinstance(found, InvocationResult):
            return found.payload.decode("utf-8", "replace")
        failed = found.state != "idle"
        found.release()
        return "FUNCTION_ERROR_INIT_FAILURE" if failed else None

    def _admit(self, spec: FunctionSpec) -> None:
        if spec.reserved_concurrency is not None:
            if self._running[spec.arn] >= spec.reserved_concurrency:
                raise Throttled("ReservedFunctionConcurrentInvocationLimitExceeded")
        elif self._total >= ACCOUNT_CONCURRENCY:
            raise Throttled("ConcurrentInvocationLimitExceeded")

    def _free(self, pool: Pool) -> Environment | None:
        """The warmest idle environment whose credentials last."""
        while pool.idle:
            environment = pool.idle.pop()
            if environment.expires - self._clock.now() > RENEW_SECONDS:
                return environment
            environment.end()
        return None

    async def _another(self, spec: FunctionSpec, pool: Pool) -> "Environment | InvocationResult":
        """An environment that comes free or a new one, whichever is first; a result when the function itself cannot be started.

        One is started for each call that waits, and no more: a call that was served by another leaves the one on its way to the next.
        """
        while True:
            found: Found = await pool.finished() if len(pool.finishing) > len(pool.waiters) else None
            if found is None and (found := self._free(pool)) is None:
                pool = self._pools.setdefault(spec, pool)  # with its last environment it was forgotten
                waiter = pool.wait()
                if pool.coming < len(pool.waiters):
                    if not self._scaling.another(spec.arn, asyncio.get_running_loop().time()):
                        pool.waiters.remove(waiter)
                        raise Throttled("FunctionInvocationRateLimitExceeded")
                    pool.coming += 1
                    launching = asyncio.ensure_future(self._launch_in_turn(spec, pool))
                    launching.add_done_callback(functools.partial(self._launched, spec, pool, waiter))
                found = await pool.first(waiter)
            if found is not None:
                return found

    async def _launch_in_turn(self, spec: FunctionSpec, pool: Pool) -> Found:
        """Launches once the processors have time for it: fifty at once would all be too late. None when no call waits any more."""
        async with self._turns.of(spec.arn):
            while self._initialising >= self._few and running_threads() > self._few:  # noqa: ASYNC110 - the kernel tells nobody
                await asyncio.sleep(TURN_SECONDS)
            if not pool.waiters:
                return None
        return await self._launch(spec, pool)

    def _launched(self, spec: FunctionSpec, pool: Pool, waiter: "asyncio.Future[Found]", launching: "asyncio.Future[Found]") -> None:
        pool.coming -= 1
        self._hand_on(pool, waiter, launching)
        self._forget(spec)

    @staticmethod
    def _hand_on(pool: Pool, waiter: "asyncio.Future[Found]", launching: "asyncio.Future[Found]") -> None:
        """An environment was started: it is anybody's. One that was not is the fault of the call that it was started for."""
        if launching.cancelled():
            pool.give(None)
            return
        error = launching.exception()
        found = None if error is not None else launching.result()
        if isinstance(found, Environment) and found.state == "idle":
            if not pool.give(found):
                found.release()
            return
        if not waiter.done():
            pool.waiters.remove(waiter)
            if error is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(found)
            return
        if isinstance(found, Environment):
            found.release()
        pool.give(None)  # somebody may have counted on it

    async def _launch(self, spec: FunctionSpec, pool: Pool) -> "Environment | InvocationResult":
        """Starts an environment; a result when the function itself is why there is none."""
        self._initialising += 1
        pool.starting += 1
        try:
            return await self._launch_counted(spec, pool)
        finally:
            self._initialising -= 1
            pool.starting -= 1
            self._forget(spec)

    async def _launch_counted(self, spec: FunctionSpec, pool: Pool) -> "Environment | InvocationResult":
        try:
            wanted, keys = await asyncio.gather(self._wanted(spec), self._surroundings.credentials(spec))
        except runtimes.UnknownRuntime as error:
            return fault("Runtime.InvalidRuntime", str(error))
        except BadPackage as error:
            return fault("Runtime.InvalidPackage", str(error))
        except BadImage as error:
            return fault("Runtime.InvalidImage", f"The image {spec.image} {error}")
        if spec.snap_start and (environment := await self._restore(spec, pool, wanted, keys)) is not None:
            return environment
        await self._reserve(spec)
        try:
            environment = await self._start(spec, pool, wanted, keys, INIT_SECONDS)
            if environment.failed_to_start:  # as on AWS: once more, in the first invocation and its time
                self._memory.take(spec.arn, spec.memory_mb)  # before the other's is anybody's
                environment.end("failure")
                environment = await self._start(spec, pool, wanted, keys, spec.timeout, environment.writer)
        except OSError as error:
            raise Unavailable(f"a function cannot be started: {error}") from error
        return environment

    async def _restore(self, spec: FunctionSpec, pool: Pool, wanted: Wanted, keys: SessionKeys) -> Environment | None:
        """An environment of the function's snapshot; None where it cannot be had. Raises NotRestored."""
        assert self._boxes is not None
        if not self._boxes.isolated:
            return None
        try:
            snapshot = await self._snapshots.open(spec)
        except NotInitialised:
            return None  # what is wrong is said where it is initialised
        if snapshot is None:
            return None
        try:
            await self._reserve(spec)
            environment = await self._start(spec, pool, wanted, keys, RESTORE_SECONDS, snapshot=snapshot)
        finally:
            os.close(snapshot.descriptor)
        kind, message = environment.fault
        if not environment.failed_to_start:
            return environment
        environment.end("failure")
        if kind in (AFTER_RESTORE, TIMED_OUT):
            raise NotRestored(timed_out=kind == TIMED_OUT)
        log.warning("%s:%s: the snapshot is made anew: %s", spec.arn, spec.version, message)
        self._snapshots.drop(spec)
        return None

    async def _wanted(self, spec: FunctionSpec) -> Wanted:
        """What the function runs in. Raises UnknownRuntime, BadPackage, BadImage."""
        if spec.image:
            image = await self.images.get(spec.code_sha256, spec.image)
            return Wanted(runtimes.IMAGE, spec.memory_mb, spec.ephemeral_mb, image=image.overridden(spec))
        runtime = await asyncio.to_thread(runtimes.resolve, spec.runtime)
        code, layers = await asyncio.gather(self._packages.code(spec.code_sha256), self._packages.layers(spec.layers))
        own = any(name == "SSL_CERT_FILE" for name, _ in spec.environment)
        return Wanted(runtime, spec.memory_mb, spec.ephemeral_mb, code, layers, own_bundle=own)

    async def _start(
        self, spec: FunctionSpec, pool: Pool, wanted: Wanted, keys: SessionKeys, limit: float, writer: LogWriter | None = None,
        snapshot: Taken | Restored | None = None,
    ) -> Environment:  # fmt: skip
        """An environment, initialised or not, in memory that is taken for it, and given back when there comes to be none.

        `writer` is that of the environment before it, whose place it takes. Raises Unavailable, OSError.
        """
        assert self._boxes is not None
        phase: Phase = "restore" if isinstance(snapshot, Restored) else "init" if writer is None else "invoke"
        if writer is None:
            stream = stream_name(self._clock.now(), spec.version, self._ids.bytes(16).hex())
            writer = LogWriter(spec, stream, self._surroundings, self._clock)
        extensions = names_in(wanted.opt)
        try:
            box = await self._box(spec, wanted, extensions)
        except BaseException:
            self._memory.give(spec.arn, spec.memory_mb)
            raise
        changed = functools.partial(self._changed, pool)
        environment = Environment(
            spec, wanted.runtime, box, self._boxes, writer, self._surroundings, self._clock, self._ids, changed, extensions
        )
        pool.all.add(environment)
        told = variables(spec, wanted.runtime, keys, writer.stream, wanted.image.environment if wanted.image is not None else None)
        if not self._spare(environment):
            told["AWS_LAMBDA_INITIALIZATION_TYPE"] = "provisioned-concurrency"
        if spec.snap_start:
            told = snapped(told, self._ids.text(32))
        try:
            await environment.initialise(restored(spec, told) if phase == "restore" else told, keys, limit, phase, snapshot)
        except BaseException:
            environment.end("failure")
            raise
        return environment

    async def _box(self, spec: FunctionSpec, wanted: Wanted, extensions: Sequence[str]) -> Box:
        """One that waits already, or a new one."""
        assert self._boxes is not None
        assert self._standby is not None
        box: Box | None = None
        if wanted.code is not None and not (extensions and wanted.runtime.kind == "node"):  # one that waits has nothing to watch over them
            box = await self._standby.take(spec, wanted.runtime, wanted.code, wanted.layers)
        if box is None:
            box = await self._boxes.open(wanted)
        self._standby.want(wanted.runtime, spec.memory_mb)
        return box

    async def _reserve(self, spec: FunctionSpec) -> None:
        """Finds room for an environment that is being initialised: the longest idle ones of other functions make way.

        Raises Throttled; Unavailable for more memory than there is.
        """
        memory, mb = self._memory, spec.memory_mb
        if mb > memory.budget_mb:
            raise Unavailable(f"the function's memory of {mb} MB is more than all functions have here together: {memory.budget_mb} MB")
        if memory.wanted and memory.has_share(spec.arn, mb):  # what comes free is for those who wait
            raise Throttled("ConcurrentInvocationLimitExceeded")
        if not memory.fits(spec.arn, mb):
            until = asyncio.get_running_loop().time() - (WARM_SECONDS if memory.has_share(spec.arn, mb) else 0.0)
            idle = [one for pool in self._pools.values() for one in pool.idle if one.idle_since <= until and self._spare(one)]
            for environment in sorted(idle, key=lambda one: one.idle_since):
                environment.end()
                if memory.fits(spec.arn, mb):
                    break
        if memory.fits(spec.arn, mb):
            memory.take(spec.arn, mb)
            return
        self._initialising -= 1  # while it waits
        try:
            found = await memory.wait(spec.arn, mb)
        finally:
            self._initialising += 1
        if not found:
            raise Throttled("ConcurrentInvocationLimitExceeded")

    def _makes_way(self, pool: Pool, environment: Environment) -> bool:
        """Whether an environment that has come free ends, so that another function can have its memory."""
        if not self._memory.wanted or not self._spare(environment):
            return False
        return not pool.waiters or self._memory.is_over(environment.spec.arn, environment.spec.memory_mb)

    def _forget(self, spec: FunctionSpec) -> None:
        pool = self._pools.get(spec)
        if pool is not None and not (pool.all or pool.waiters or pool.starting or pool.coming):
            del self._pools[spec]

    def _changed(self, pool: Pool, environment: Environment) -> None:
        """An environment's state has changed: it is free, nearly free, or gone."""
        state = environment.state
        if state == "finishing":
            pool.finishing.add(environment)
            return
        pool.finishing.discard(environment)
        if state == "idle":
            if self._makes_way(pool, environment):
                environment.end()
            elif not pool.give(environment):
                pool.idle.append(environment)
        elif state == "ended" and environment in pool.all:
            pool.all.discard(environment)
            if environment in pool.idle:
                pool.idle.remove(environment)
            self._memory.give(environment.spec.arn, environment.spec.memory_mb)
            self._provisioned.moved()
            self._forget(environment.spec)
            task = asyncio.ensure_future(environment.ended())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _sweep(self) -> None:
        """Ends environments that nobody has asked for long."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            until = asyncio.get_running_loop().time() - self._config.idle_seconds
            for pool in list(self._pools.values()):
                for environment in list(pool.idle):
                    if environment.expires - self._clock.now() < 2 * RENEW_SECONDS and not self._spare(environment):
                        environment.end()  # another one takes its place before anyone finds its credentials too old
                    elif environment.idle_since < until and self._spare(environment):
                        environment.end()


def fault(kind: str, message: str) -> InvocationResult:
    return InvocationResult(error_object(kind, message), "Unhandled")


def give_up(waiter: "asyncio.Future[Found]") -> None:
    if not waiter.done():
        waiter.set_result(None)
