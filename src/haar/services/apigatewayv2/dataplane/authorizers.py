"""Lambda authorizers of HTTP APIs: a function says who is calling and what they may.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

import orjson

from haar.services.apigateway import public as rest
from haar.services.apigatewayv2.dataplane.answers import denied, failed, unauthorized
from haar.services.apigatewayv2.dataplane.call import Call, stage_text
from haar.services.apigatewayv2.dataplane.events import event_v1, event_v2
from haar.services.apigatewayv2.dataplane.functions import invoke
from haar.services.apigatewayv2.dataplane.mapping import look_up
from haar.services.apigatewayv2.integrations import function_of
from haar.services.apigatewayv2.records import Doc
from haar.services.service import Host

MAX_RESULTS = 10_000
"""Results of authorizers that are remembered."""
SECONDS = 10.0
"""How long an authorizer may take: its own limit, shorter than an integration's."""


@dataclass(frozen=True, slots=True)
class Simple:
    """What an authorizer with simple responses answered."""

    allowed: bool
    context: dict[str, Any]
    until: float


class Verdicts:
    """Remembered answers, each for as long as its authorizer says."""

    def __init__(self, host: Host) -> None:
        self._known: OrderedDict[tuple[str, ...], Simple | rest.Verdict] = OrderedDict()

    def get(self, key: tuple[str, ...], now: float) -> Simple | rest.Verdict | None:
        found = self._known.get(key)
        if found is not None and found.until <= now:
            del self._known[key]
            return None
        return found

    def put(self, key: tuple[str, ...], verdict: Simple | rest.Verdict) -> None:
        self._known[key] = verdict
        while len(self._known) > MAX_RESULTS:
            self._known.popitem(last=False)

    def forget(self, *prefix: str) -> None:
        """All of an API, or of one of its stages."""
        for key in [key for key in self._known if key[: len(prefix)] == prefix]:
            del self._known[key]


async def run_authorizer(call: Call, authorizer: Doc) -> None:
    """Raises Refused unless the authorizer lets the call through; puts what it said into the call."""
    stage = call.stage
    arn = stage.arn(call.resource)
    identity = _identity(call, authorizer)
    ttl = authorizer.get("AuthorizerResultTtlInSeconds", 0)
    key = (stage.api_id, stage.name, authorizer["AuthorizerId"], *identity)
    verdicts = call.host.get(Verdicts)
    verdict = verdicts.get(key, call.now) if ttl and identity else None
    if verdict is None:
        verdict = await _ask(call, authorizer, identity, arn, ttl)
        if ttl and identity:
            verdicts.put(key, verdict)
    if isinstance(verdict, Simple):
        allowed, context, why = verdict.allowed, verdict.context, "The authorizer does not allow the call"
    else:
        decision = rest.decide(verdict, arn, stage.account, call.request, call.now)
        ending = " with an explicit deny in an identity-based policy" if decision.outcome == "explicitDeny" else ""
        allowed, context, why = decision.allowed, dict(verdict.context), f"User is not authorized to access this resource{ending}"
        call.usage_key = verdict.usage_key
    if not allowed:
        raise denied(why, call.socket)
    call.lambda_context = context


def _identity(call: Call, authorizer: Doc) -> tuple[str, ...]:
    """The values of the identity sources. Raises Refused (401) when one is missing."""
    found: list[str] = []
    for source in authorizer.get("IdentitySource", ()):
        value = look_up(call, source.removeprefix("$").removeprefix("route."))
        if not value:
            raise unauthorized(f"There is no {source}")
        found.append(value)
    return tuple(found)


_MAPS = ("headers", "multiValueHeaders", "queryStringParameters", "multiValueQueryStringParameters", "stageVariables")
"""What the event of a handshake always has."""


def _event(call: Call, authorizer: Doc, identity: tuple[str, ...], arn: str) -> Doc:
    if call.socket:
        maps = {name: call.event.get(name, {}) for name in _MAPS}
        return {"type": "REQUEST", "methodArn": arn, **maps, "requestContext": call.event["requestContext"]}
    if authorizer.get("AuthorizerPayloadFormatVersion", "1.0") == "1.0":
        event = event_v1(call)
        joined = ",".join(identity)
        head: Doc = {"version": "1.0", "type": "REQUEST", "methodArn": arn, "identitySource": joined, "authorizationToken": joined}
    else:
        event = event_v2(call)
        head = {"version": "2.0", "type": "REQUEST", "routeArn": arn, "identitySource": list(identity) or None}
    event.pop("body", None)
    event.pop("isBase64Encoded", None)
    return head | event


async def _ask(call: Call, authorizer: Doc, identity: tuple[str, ...], arn: str, ttl: int) -> Simple | rest.Verdict:
    function = stage_text(function_of(authorizer["AuthorizerUri"]) or "")(call)
    result = await invoke(
        call,
        function,
        orjson.dumps(_event(call, authorizer, identity, arn)),
        source=f"authorizers/{authorizer['AuthorizerId']}",
        role=authorizer.get("AuthorizerCredentialsArn"),
        seconds=SECONDS,
    )
    if result.error is not None:
        message = rest.error_message(result.payload)
        if message == "Unauthorized":
            raise unauthorized("The authorizer says so")
        raise failed(f"The authorizer failed: {message}")
    if authorizer.get("EnableSimpleResponses"):
        return _simple(result.payload, call.now + ttl)
    return _policy(result.payload, call.now + ttl, typed=not call.socket)


def _policy(payload: bytes, until: float, *, typed: bool) -> rest.Verdict:
    """A policy with its context, whose values keep their types (HTTP APIs) or become texts. Raises Refused (500) for what is none."""
    context: Any = None
    try:
        if typed:
            answer = orjson.loads(payload)
            context = answer.pop("context", None)
            payload = orjson.dumps(answer)
        verdict = rest.read_verdict(payload, until)
        return verdict if context is None else replace(verdict, context={**verdict.context, **context})
    except rest.Refused as refused:
        raise failed(refused.why) from None
    except (orjson.JSONDecodeError, AttributeError, TypeError):
        raise failed("The authorizer's response is not of the form {principalId, policyDocument, context}") from None


def _simple(payload: bytes, until: float) -> Simple:
    """Raises Refused (500) for an answer that is not of the form."""
    try:
        answer = orjson.loads(payload)
    except orjson.JSONDecodeError:
        answer = None
    allowed = answer.get("isAuthorized") if isinstance(answer, dict) else None
    context = (answer.get("context") or {}) if isinstance(answer, dict) else None
    if not isinstance(allowed, bool) or not isinstance(context, dict):
        raise failed("The authorizer's response is not of the form {isAuthorized, context}")
    return Simple(allowed, context, until)
