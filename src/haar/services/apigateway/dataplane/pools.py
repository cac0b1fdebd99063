"""Cognito user pools as authorizers: the tokens of a pool, without the pool.

haar has no user pools. The setting `jwks` says where a pool's public keys are (`us-east-1_Ab12=https://…/jwks.json`; `*` is all others, and
`{pool}` in its URL the pool's id), so that tokens of a real pool, or of whatever stands for one, are verified as on AWS.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-integrate-with-cognito.html
"""

import asyncio
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any

import orjson

from haar.auth.jwt import BadToken, Claims, Key, Token, decode, keys_of, scopes_of
from haar.services.apigateway.dataplane.answers import Refused, unauthorized
from haar.services.apigateway.dataplane.authorizers import misconfigured
from haar.services.apigateway.dataplane.call import Call
from haar.services.apigateway.dataplane.client import Unreachable, fetch
from haar.services.apigateway.dataplane.compile import Endpoint
from haar.services.apigateway.dataplane.mapping import look_up
from haar.services.apigateway.patterns import compile_pattern
from haar.services.apigateway.records import Doc
from haar.services.service import Host

MAX_POOLS = 1000
"""Pools whose keys are remembered."""
KEEP_SECONDS = 3600.0
AGAIN_SECONDS = 10.0
"""For a key that is not known, or after an answer that was none, a pool's keys are asked for at most this often."""
FETCH_SECONDS = 5.0
DATES = ("exp", "iat")
"""Claims that REST APIs show as dates."""
END_OF_DATES = 253_402_300_800
"""The year 10,000: what an issuer says beyond it is shown as the number that it is."""


class _Pool:
    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: dict[str, Key] = {}
        self.asked = -KEEP_SECONDS
        self.lock = asyncio.Lock()


def urls_of_keys(setting: str) -> dict[str, str]:
    """The setting `jwks`: by a pool's id, or by an issuer's URL without its scheme, where the public keys are."""
    return dict(part.strip().split("=", 1) for part in setting.split(",") if "=" in part)


class Pools:
    """The keys of the pools that authorizers name."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._urls = urls_of_keys(host.config.jwks)
        self._known: OrderedDict[str, _Pool] = OrderedDict()

    async def key(self, pool: str, key_id: str) -> Key | None:
        """A pool's key; None for one that it has not. Raises Refused (500) for a pool whose keys nothing says where they are."""
        known = self._known.get(pool)
        if known is None:
            url = self._urls.get(pool) or self._urls.get("*")
            if url is None:
                raise misconfigured(f"haar has no user pools, and the setting jwks does not say where the keys of {pool} are")
            known = self._known[pool] = _Pool(url.replace("{pool}", pool))
            while len(self._known) > MAX_POOLS:
                self._known.popitem(last=False)
        if self._stale(known, key_id):
            async with known.lock:
                if self._stale(known, key_id):
                    known.asked = self._host.clock.now()
                    known.keys = await _fetch(known.url) or known.keys
        return known.keys.get(key_id)

    def _stale(self, known: _Pool, key_id: str) -> bool:
        age = self._host.clock.now() - known.asked
        return age >= KEEP_SECONDS or (key_id not in known.keys and age >= AGAIN_SECONDS)


async def _fetch(url: str) -> dict[str, Key]:
    """The keys at a URL; none when it does not answer: those that are known stay in use."""
    try:
        status, _, body = await fetch("GET", url, [("Accept", "application/json")], b"", FETCH_SECONDS)
        return keys_of(orjson.loads(body)) if status == 200 else {}
    except (Unreachable, TimeoutError, orjson.JSONDecodeError):
        return {}


async def admit(call: Call, endpoint: Endpoint, authorizer: Doc) -> None:
    """Raises Refused unless the call has a token of one of the pools; puts its claims into the call."""
    value = look_up(call, authorizer.get("identitySource") or "method.request.header.Authorization") or ""
    claims = await verified(call, authorizer, value.removeprefix("Bearer ").strip(), endpoint.method.get("authorizationScopes", ()))
    call.authorizer = {"claims": {name: shown(name, value) for name, value in claims.items()}}


async def verified(call: Call, authorizer: Doc, text: str, wanted: Any = (), *, tested: bool = False) -> Claims:
    """The claims of a token, when it is of one of the authorizer's pools, good now, and for one of the wanted scopes. Raises Refused.

    Where the authorizer alone is tested, there is no method whose scopes a token is for.
    """
    try:
        token = decode(text)
    except BadToken as error:
        raise _no(call, str(error)) from None
    claims = token.claims
    pool = _pool_of(authorizer, claims)
    if pool is None:
        raise _no(call, "the token is of none of the authorizer's user pools")
    await _check_signature(call, pool, token)
    _check_times(call, claims)
    if not tested:
        _check_use(call, claims, wanted)
    _check_audience(call, authorizer, claims)
    return claims


def _pool_of(authorizer: Doc, claims: Claims) -> str | None:
    """The pool that the token says it is of, when that is one of the authorizer's."""
    issuer = str(claims.get("iss", "")).rstrip("/").rpartition("/")[2]
    pools = [arn.rpartition("userpool/")[2] for arn in authorizer.get("providerARNs", ())]
    return issuer if issuer and issuer in pools else None


async def _check_signature(call: Call, pool: str, token: Token) -> None:
    key = await call.host.get(Pools).key(pool, token.key_id or "")
    if key is None:
        raise _no(call, f"the user pool {pool} has no key {token.key_id}")
    try:
        key.check(token)
    except BadToken as error:
        raise _no(call, str(error)) from None


def _check_times(call: Call, claims: Claims) -> None:
    expires, not_before = claims.get("exp"), claims.get("nbf", 0)
    if isinstance(expires, bool) or not isinstance(expires, int | float) or not isinstance(not_before, int | float):
        raise _no(call, "the token does not say when it ends")
    if expires <= call.now:
        raise Refused("UNAUTHORIZED", "The incoming token has expired", "UnauthorizedException")
    if not_before > call.now:
        raise _no(call, "the token is not valid yet")


def _check_use(call: Call, claims: Claims, wanted: Any) -> None:
    """A method with scopes takes access tokens that have one of them; one without takes identity tokens."""
    use = claims.get("token_use")
    if wanted:
        if use == "id" or not set(wanted) & set(scopes_of(claims)):
            raise _no(call, "the token has none of the method's scopes")
    elif use not in (None, "id"):
        raise _no(call, "the method has no scopes, and takes identity tokens only")


def _check_audience(call: Call, authorizer: Doc, claims: Claims) -> None:
    expression = authorizer.get("identityValidationExpression")
    if expression:
        audience = claims.get("aud") or claims.get("client_id") or ""
        given = audience if isinstance(audience, list) else [audience]
        if not any(compile_pattern(expression).fullmatch(str(one)) for one in given):
            raise _no(call, "the token's audience is not of the form that the authorizer asks for")


def _no(call: Call, why: str) -> Refused:
    call.say(f"Unauthorized request: {why}")
    return unauthorized()


def shown(name: str, value: Any) -> str:
    """A claim as REST APIs show it: a text, lists joined with commas, the times of issue and end as dates."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ",".join(shown("", one) for one in value)
    if name in DATES and isinstance(value, int | float) and 0 <= value < END_OF_DATES and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC).strftime("%a %b %d %H:%M:%S UTC %Y")
    return orjson.dumps(value).decode()
