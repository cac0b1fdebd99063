"""Lambda authorizers: a function says who is calling and what they may.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-input.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from haar.policy.decision import AccessRequest, Decision
from haar.policy.document import Policy, compile_policy
from haar.policy.errors import PolicyError
from haar.policy.evaluate import evaluate
from haar.services.apigateway.dataplane.answers import Refused, access_denied, unauthorized
from haar.services.apigateway.dataplane.call import Call
from haar.services.apigateway.dataplane.compile import Endpoint
from haar.services.apigateway.dataplane.event import proxy_event
from haar.services.apigateway.dataplane.functions import (
    FUNCTION,
    SERVICE,
    error_message,
    invocation_url,
    role_caller,
    stage_text,
    tell_request,
)
from haar.services.apigateway.dataplane.log import masked, shorten
from haar.services.apigateway.dataplane.mapping import look_up, plain
from haar.services.apigateway.patterns import compile_pattern
from haar.services.apigateway.records import Doc
from haar.services.iam.public import circumstances
from haar.services.lambda_ import public as lambda_
from haar.services.service import Host
from haar.wire.errors import ServiceError
from haar.wire.http import Request

DEFAULT_TTL = 300
"""Seconds that a verdict is remembered, when the authorizer does not say."""
MAX_RESULTS = 10_000
"""Results of authorizers that are remembered."""
SECONDS = 29.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an authorizer answered."""

    policy: Policy
    document: str
    """The policy as the authorizer wrote it, JSON."""
    context: Mapping[str, Any]
    usage_key: str | None
    until: float


class Verdicts:
    """Remembered verdicts, each for as long as its authorizer says."""

    def __init__(self, host: Host) -> None:
        self._known: OrderedDict[tuple[str, ...], Verdict] = OrderedDict()

    def get(self, key: tuple[str, ...], now: float) -> Verdict | None:
        found = self._known.get(key)
        if found is not None and found.until <= now:
            del self._known[key]
            return None
        return found

    def put(self, key: tuple[str, ...], verdict: Verdict) -> None:
        self._known[key] = verdict
        while len(self._known) > MAX_RESULTS:
            self._known.popitem(last=False)

    def forget(self, api_id: str, stage: str) -> None:
        """FlushStageAuthorizersCache."""
        for key in [key for key in self._known if key[:2] == (api_id, stage)]:
            del self._known[key]


def failed(why: str) -> Refused:
    return Refused("AUTHORIZER_FAILURE", None, "AuthorizerFailureException", why=why)


def misconfigured(why: str) -> Refused:
    return Refused("AUTHORIZER_CONFIGURATION_ERROR", None, "AuthorizerConfigurationException", why=why)


async def run_authorizer(call: Call, endpoint: Endpoint, authorizer: Doc) -> str | None:
    """Raises Refused unless the authorizer lets the call through; puts what it said into the call. Answers its usage key."""
    method_arn = call.resource_arn
    call.say(f"Starting authorizer: {authorizer['id']} for request: {call.request_id}")
    identity = _identity(call, authorizer)
    ttl = authorizer.get("authorizerResultTtlInSeconds", DEFAULT_TTL)
    key = (call.live.api_id, call.live.stage, authorizer["id"], *identity)
    verdicts = call.host.get(Verdicts)
    verdict = verdicts.get(key, call.now) if ttl and identity else None
    latency = 0
    if verdict is None:
        began = call.host.clock.now()
        verdict = await _ask(call, authorizer, _event(call, authorizer, identity, method_arn), ttl)
        latency = int((call.host.clock.now() - began) * 1000)
        if ttl and identity:
            verdicts.put(key, verdict)
    tell_verdict(call, verdict)
    _decide(call, verdict, method_arn)
    call.authorizer = {**verdict.context, "integrationLatency": latency}
    return verdict.usage_key


def tell_verdict(call: Call, verdict: Verdict) -> None:
    call.say(f"Using valid authorizer policy for principal: {masked(verdict.context['principalId'])}")
    call.say("Successfully completed authorizer execution")


async def consult(call: Call, authorizer: Doc, method_arn: str) -> Verdict:
    """What the authorizer says of a call, asked anew (TestInvokeAuthorizer). Raises Refused."""
    return await _ask(call, authorizer, _event(call, authorizer, _identity(call, authorizer), method_arn), 0)


def _identity(call: Call, authorizer: Doc) -> tuple[str, ...]:
    """The values of the identity sources. Raises Refused (401) when one is missing, or a token not of the form."""
    found: list[str] = []
    for source in (authorizer.get("identitySource") or "").split(","):
        source = source.strip()
        if not source:
            continue
        value = look_up(call, source)
        if not value:
            raise unauthorized()
        found.append(value)
    if authorizer["type"] == "TOKEN":
        call.say(f"Incoming identity: {masked(found[0])}")
    expression = authorizer.get("identityValidationExpression")
    if expression and authorizer["type"] == "TOKEN" and not compile_pattern(expression).fullmatch(found[0]):
        raise unauthorized()
    return tuple(found)


def _event(call: Call, authorizer: Doc, identity: tuple[str, ...], method_arn: str) -> Doc:
    if authorizer["type"] == "TOKEN":
        return {"type": "TOKEN", "methodArn": method_arn, "authorizationToken": identity[0]}
    event = proxy_event(call)
    del event["body"], event["isBase64Encoded"]
    return {"type": "REQUEST", "methodArn": method_arn} | {name: value if value is not None else {} for name, value in event.items()}


async def _ask(call: Call, authorizer: Doc, event: Doc, ttl: int) -> Verdict:
    live, host = call.live, call.host
    matched = FUNCTION.fullmatch(authorizer.get("authorizerUri", ""))
    arn = stage_text(matched[1])(call) if matched else ""
    parts = arn.split(":")
    if len(parts) < 7:
        raise misconfigured(f"Invalid authorizer URI: {authorizer.get('authorizerUri')}")
    caller: lambda_.Source | Any = lambda_.Source(SERVICE, live.arn(f"authorizers/{authorizer['id']}"), live.account)
    if role := authorizer.get("authorizerCredentials"):
        caller = await role_caller(host, role)
    payload, request_id = orjson.dumps(event), host.ids.uuid()
    tell_request(call, invocation_url(arn), payload, live.arn(f"authorizers/{authorizer['id']}"))
    try:
        async with asyncio.timeout(SECONDS):
            result = await lambda_.invoke(host, arn, payload, caller=caller, request_id=request_id, region=parts[3])
    except ServiceError as error:
        raise misconfigured(f"Execution failed due to configuration error: Invalid permissions on Lambda function: {error}") from None
    except TimeoutError:
        raise failed("Execution failed due to a timeout error in the authorizer") from None
    call.say(f"Authorizer result body before parsing: {shorten(result.payload)}")
    if result.error is not None:
        if error_message(result.payload) == "Unauthorized":
            raise unauthorized()
        raise failed(f"Authorizer error: {error_message(result.payload)}")
    return read_verdict(result.payload, call.now + ttl)


def read_verdict(payload: bytes, until: float) -> Verdict:
    """Raises Refused (500) for an answer that is not of the form."""
    try:
        answer = orjson.loads(payload)
        document = answer["policyDocument"]
        principal = answer["principalId"]
        context = answer.get("context") or {}
        if not isinstance(principal, str) or not isinstance(document, dict) or not isinstance(context, dict):
            raise misconfigured("Execution failed due to configuration error: Invalid JSON in response")
        if any(isinstance(value, dict | list) for value in context.values()):
            raise misconfigured("Execution failed due to configuration error: Invalid context in authorizer's response")
        written = orjson.dumps(document).decode()
        policy = compile_policy(written, "authorizer")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, PolicyError):
        raise misconfigured("Execution failed due to configuration error: Invalid JSON in response") from None
    texts = {name: plain(value) for name, value in context.items() if value is not None}
    usage = answer.get("usageIdentifierKey")
    return Verdict(policy, written, {"principalId": principal, **texts}, usage if isinstance(usage, str) else None, until)


def _decide(call: Call, verdict: Verdict, method_arn: str) -> None:
    decision = decide(verdict, method_arn, call.live.account, call.request, call.now)
    if not decision.allowed:
        ending = " with an explicit deny in an identity-based policy" if decision.outcome == "explicitDeny" else ""
        raise access_denied(f"User is not authorized to access this resource{ending}")


def decide(verdict: Verdict, method_arn: str, account: str, request: Request, now: float) -> Decision:
    """What an authorizer's policy says of a call."""
    asked = AccessRequest(
        "execute-api:Invoke",
        method_arn,
        principal_arn=f"arn:aws:iam::{account}:user/authorizer",
        principal_account=account,
        principal_kind="user",
        context=circumstances(request.client, request.headers, request.secure, method_arn.split(":")[3], now),
    )
    return evaluate(asked, identity=(verdict.policy,))
