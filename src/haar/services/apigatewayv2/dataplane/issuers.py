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
"""For a key that is not known, its issuer is asked at most this often."""
FETCH_SECONDS = 5.0
DISCOVERY = "/.well-known/openid-configuration"


class _Issuer:
    def __init__(self) -> None:
        self.keys: dict[str, Key] = {}
        self.asked = -KEEP_SECONDS
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
                    known.keys = keys_of(await self._fetch(issuer))
                    known.asked = self._host.clock.now()
        found = known.keys.get(key_id)
        if found is None:
            raise BadToken("unable to find a signing key that matches the token")
        return found

    def _stale(self, known: _Issuer, key_id: str) -> bool:
        age = self._host.clock.now() - known.asked
        return age >= KEEP_SECONDS or (key_id not in known.keys and age >= AGAIN_SECONDS)

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
