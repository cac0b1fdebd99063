"""The keys of token issuers, found by OIDC discovery and remembered."""

import asyncio
from collections import OrderedDict
from typing import Any

import orjson

from haar.auth.jwt import BadToken, Key, keys_of
from haar.services.apigateway.public import Unreachable, fetch, urls_of_keys
from haar.services.service import Host

MAX_ISSUERS = 1000
KEEP_SECONDS = 7200.0
"""How long keys are used before they are asked for again; AWS's two hours."""
AGAIN_SECONDS = 10.0
"""An issuer is asked at most this often, for a key that is not known or because it did not answer."""
FETCH_SECONDS = 5.0
DISCOVERY = "/.well-known/openid-configuration"


class _Issuer:
    def __init__(self) -> None:
        self.keys: dict[str, Key] = {}
        self.fetched = -KEEP_SECONDS
        self.asked = -AGAIN_SECONDS
        """When its keys were asked for last, whether or not they came."""
        self.failure = ""
        """Why they did not."""
        self.lock = asyncio.Lock()


class Issuers:
    """The keys of all issuers that the host's authorizers name."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._known: OrderedDict[str, _Issuer] = OrderedDict()
        self._urls = urls_of_keys(host.config.jwks)

    async def key(self, issuer: str, key_id: str) -> Key:
        """Raises BadToken when the issuer has no such key, or cannot be asked."""
        known = self._known.get(issuer)
        if known is None:
            known = self._known[issuer] = _Issuer()
            while len(self._known) > MAX_ISSUERS:
                self._known.popitem(last=False)
        if self._stale(known, key_id):
            async with known.lock:
                if self._stale(known, key_id):
                    await self._ask(known, issuer)
        found = known.keys.get(key_id) if self._host.clock.now() - known.fetched < KEEP_SECONDS else None
        if found is None:
            raise BadToken(known.failure or "unable to find a signing key that matches the token")
        return found

    def _stale(self, known: _Issuer, key_id: str) -> bool:
        now = self._host.clock.now()
        return (key_id not in known.keys or now - known.fetched >= KEEP_SECONDS) and now - known.asked >= AGAIN_SECONDS

    async def _ask(self, known: _Issuer, issuer: str) -> None:
        try:
            known.keys, known.failure = keys_of(await self._fetch(issuer)), ""
            known.fetched = self._host.clock.now()
        except BadToken as error:
            known.failure = str(error)
        known.asked = self._host.clock.now()

    async def _fetch(self, issuer: str) -> Any:
        url = self._urls.get(issuer.removeprefix("https://").rstrip("/"))
        try:
            if url is None:
                url = str((await _json(issuer.rstrip("/") + DISCOVERY))["jwks_uri"])
                if issuer.startswith("https:") and not url.startswith("https:"):
                    raise Unreachable("the keys are not served by HTTPS")
            return await _json(url)
        except (Unreachable, TimeoutError, orjson.JSONDecodeError, KeyError, TypeError):
            raise BadToken("OIDC discovery endpoint communication error") from None


async def _json(url: str) -> Any:
    status, _, body = await fetch("GET", url, [("Accept", "application/json")], b"", FETCH_SECONDS)
    if status != 200:
        raise Unreachable(f"status {status}")
    return orjson.loads(body)
