"""At which address a function URL or an API is shown."""

import asyncio
import socket

from haar.services.service import Context, Host

PROBE_SECONDS = 2.0
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class Addresses:
    """In which of two forms an address is shown: by host where names below `localhost` lead here, by path elsewhere."""

    def __init__(self, host: Host) -> None:
        self._config = host.config
        self._names_resolve: bool | None = None

    async def url(self, context: Context, name: str, path: str, *, scheme: str = "http") -> str:
        """`http://NAME.localhost:PORT`, or `http://AUTHORITY/PATH`, without a slash at its end; `scheme` is http or ws."""
        scheme += "s" if context.secure else ""
        authority = context.headers.get("host") or f"{self._config.host}:{self._config.port}"
        host, colon, port = authority.rpartition(":")
        if not colon:
            host, port = authority, ""
        if host in LOOPBACK and await self._resolve():
            return f"{scheme}://{name}.localhost{colon}{port}"
        return f"{scheme}://{authority}/{path.strip('/')}"

    async def _resolve(self) -> bool:
        if self._names_resolve is None:
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    await asyncio.get_running_loop().getaddrinfo("haar.lambda-url.local.localhost", None, type=socket.SOCK_STREAM)
                self._names_resolve = True
            except (OSError, TimeoutError):
                self._names_resolve = False
        return self._names_resolve
