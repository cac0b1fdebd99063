"""The platform: puts the parts together, starts them in order and stops them in the opposite one."""

import asyncio
import base64
import errno
import json
import logging
import os
import secrets
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any

from haar.auth.principal import Credential
from haar.clock import Clock, Ids, RandomIds, SystemClock
from haar.config import Config, ConfigError
from haar.execution.manager import Manager
from haar.gateway.calls import ServiceCalls
from haar.gateway.pipeline import Gateway
from haar.gateway.secure import Contexts, SecureListener
from haar.gateway.server import Server
from haar.services.apigateway.public import truststore
from haar.services.iam.public import ensure_root
from haar.services.lambda_.surroundings import LambdaSurroundings
from haar.services.registry import services
from haar.services.service import Background, Host
from haar.store.contract import Store, Transaction
from haar.store.errors import StoreError
from haar.store.sqlite import SQLiteStore
from haar.store.telling import Seldom
from haar.tls import Authority

log = logging.getLogger("haar.platform")

SPACE = "platform"
GRACE_SECONDS = 1.5
"""What requests under way get when the platform stops; functions get as much again."""
WILDCARDS: Mapping[str, str] = MappingProxyType({"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"})  # noqa: S104 - what is not offered
"""What clients on this machine use when the platform listens on all addresses."""
HOSTS_OF_APIS = frozenset(("execute-api", "lambda-url", "ddb"))
"""Words of host names at AWS that are deployed APIs, function URLs, and DynamoDB by account."""
RESTART_SECONDS = 1.0
"""The wait before background work that failed is started again."""


class CannotListen(Exception):
    """An address that cannot be served on; says which, and why."""

    def __init__(self, host: str, port: int, error: OSError) -> None:
        self.taken = error.errno == errno.EADDRINUSE
        # asyncio wraps what the system says in words of its own
        why = error.strerror if isinstance(error, socket.gaierror) or not error.errno else os.strerror(error.errno)
        super().__init__(f"cannot listen on {host}:{port}: {why}")


class Platform:
    """A running platform."""

    def __init__(self, host: Host, server: Server, gateway: Gateway, manager: Manager, root: Credential, port: int, https: int) -> None:
        self.host = host
        self.server = server
        self.gateway = gateway
        self.manager = manager
        self.root = root
        self.port = port
        self.https_port = https
        """0 when there is none."""
        self.started = host.clock.now()
        self._background: list[asyncio.Task[None]] = []

    @classmethod
    async def start(cls, config: Config, clock: Clock | None = None, ids: Ids | None = None) -> "Platform":
        """Opens the store and serves. Raises ConfigError, StoreError (the data cannot be used), CannotListen, OSError."""
        clock, ids = clock or SystemClock(), ids or RandomIds()
        async with AsyncExitStack() as unless_started:
            store = await open_store(config)
            unless_started.push_async_callback(store.close)
            host = await make_host(config, store, clock, ids)
            root = await ensure_root(host)
            built = services()
            gateway = Gateway(host, built)
            host.call = ServiceCalls(gateway)
            server = Server(gateway.handle, clock, gateway.purpose)
            unless_started.push_async_callback(server.stop, 0)
            secure = Securely(host, server)
            words = frozenset(codec.endpoint for codec in gateway.router.codecs.values()) | HOSTS_OF_APIS
            manager = Manager(config, LambdaSurroundings(host, server.attach, secure.attach, words), clock, ids)
            host.executor = manager
            unless_started.push_async_callback(manager.stop)
            await manager.start()
            port = await _listen(server, config.host, config.port)
            https = await _listen(secure.listener(), config.host, config.https_port) if config.https_port >= 0 else 0
            platform = cls(host, server, gateway, manager, root, port, https)
            write_private(config.data / "root.json", platform.description())
            unless_started.pop_all()
        for service in built:
            for work in service.background:
                platform._background.append(asyncio.create_task(_keep_going(work, host), name=f"{service.name}: {work.__name__}"))
        return platform

    @property
    def endpoint(self) -> str:
        return f"http://{self._name}:{self.port}"

    @property
    def https_endpoint(self) -> str:
        """Empty when there is none."""
        return f"https://{self._name}:{self.https_port}" if self.https_port else ""

    @property
    def _name(self) -> str:
        host = WILDCARDS.get(self.host.config.host, self.host.config.host)
        return f"[{host}]" if ":" in host else host

    def description(self) -> dict[str, Any]:
        """What `haar env` prints: where the platform is and the root user's keys."""
        return {
            "endpoint": self.endpoint,
            **({"https_endpoint": self.https_endpoint} if self.https_port else {}),
            "account": self.host.account,
            "region": self.host.config.region,
            "access_key_id": self.root.access_key_id,
            "secret_access_key": self.root.secret,
            "pid": os.getpid(),
            "started": self.started,
        }

    async def stop(self) -> None:
        """Ends within 5 s: requests under way, functions, background work, the store. What is not done then is done at the next start."""
        await self.server.stop(GRACE_SECONDS)
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.manager.stop()
        await self.host.store.close()


class Securely:
    """HTTPS, with the local authority's certificates and those that the settings give: on its port, and inside environments."""

    def __init__(self, host: Host, server: Server) -> None:
        """Raises ConfigError when a given certificate cannot be used."""
        config = host.config
        self._server = server

        async def trusted(name: str) -> str | None:
            return await truststore(host, name)

        self._contexts = Contexts(Authority.ensure(config.data, host.clock), host.clock, trusted, config.tls_certificate, config.tls_key)

    def listener(self) -> SecureListener:
        return SecureListener(self._server, self._contexts)

    def attach(self, listening: socket.socket) -> SecureListener:
        """Serves an execution environment on its own listening socket."""
        listener = self.listener()
        listener.attach(listening)
        return listener


async def _listen(server: Server | SecureListener, host: str, port: int) -> int:
    try:
        return await server.listen(host, port)
    except OSError as error:
        raise CannotListen(host, port, error) from None


async def open_store(config: Config) -> Store:
    if config.store:
        from haar.store.postgresql import PostgreSQLStore

        return await PostgreSQLStore.open(config.store)
    return await SQLiteStore.open(config.data)


async def make_host(config: Config, store: Store, clock: Clock, ids: Ids) -> Host:
    """The host with the account and the secret that the store keeps; both are chosen when the store is new."""
    fresh = {
        "account": config.account or "".join(secrets.choice("123456789") for _ in range(12)),
        "secret": base64.b64encode(secrets.token_bytes(32)).decode(),
    }

    async def read_or_write(tx: Transaction) -> dict[str, str]:
        kept = await tx.get(SPACE, b"identity")
        if kept is None:
            tx.put(SPACE, b"identity", b"", json.dumps(fresh).encode())
            return fresh
        found: dict[str, str] = json.loads(kept)
        return found

    identity = await store.transact(read_or_write)
    if config.account and config.account != identity["account"]:
        raise ConfigError(f"account: the data belongs to account {identity['account']}, not {config.account}")
    return Host(config, store, clock, ids, identity["account"], base64.b64decode(identity["secret"]))


def write_private(path: Path, content: dict[str, Any]) -> None:
    """Replaces a file that only its owner may read."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


async def _keep_going(work: Background, host: Host) -> None:
    seldom = Seldom()
    while True:
        try:
            await work(host)
            return
        except StoreError as error:
            if seldom.now():
                log.error("background work %s: %s; it starts again", work.__name__, error)
        except Exception:
            log.exception("background work %s failed; it starts again", work.__name__)
        await asyncio.sleep(RESTART_SECONDS)
