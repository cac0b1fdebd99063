"""Whether a call may be made: AWS_IAM, the API's resource policy, API keys."""

from collections.abc import Mapping, Sequence

from haar.auth.principal import Credential, Principal
from haar.auth.sigv4 import authenticate
from haar.eager import into_task
from haar.policy.messages import access_denied_message
from haar.services.apigateway.dataplane.answers import Refused, access_denied, missing_token
from haar.services.apigateway.dataplane.authorizers import misconfigured, run_authorizer
from haar.services.apigateway.dataplane.call import Call
from haar.services.apigateway.dataplane.compile import Endpoint
from haar.services.apigateway.dataplane.keys import check_key
from haar.services.apigateway.dataplane.pools import admit
from haar.services.apigateway.records import Doc
from haar.services.iam import public as iam
from haar.services.service import Demand, Host
from haar.wire.errors import ServiceError
from haar.wire.http import Request

ANONYMOUS = Principal("anonymous", "anonymous", "anonymous", "anonymous")


class _Credentials:
    def __init__(self, host: Host) -> None:
        self._host = host

    async def find(self, access_key_id: str, session_token: str | None) -> Credential | None:
        return await iam.find_credential(self._host, access_key_id, session_token)


async def authorise(call: Call, endpoint: Endpoint) -> None:
    """Raises Refused unless the call may be made; puts who made it into the call."""
    kind, compiled = endpoint.authorization, call.live.compiled
    usage_key = call.request.headers.get("x-api-key")
    if kind == "AWS_IAM":
        call.principal = await signed(call.host, call.request, call.now)
        await _decide(call, endpoint, call.principal)
    elif compiled.policy is not None:
        await _decide(call, endpoint, ANONYMOUS)
    if kind == "CUSTOM":
        named = await run_authorizer(call, endpoint, _authorizer(call, endpoint))
        if compiled.draft.api.get("apiKeySource") == "AUTHORIZER":
            usage_key = named
    elif kind == "COGNITO_USER_POOLS":
        await admit(call, endpoint, _authorizer(call, endpoint))
    if endpoint.api_key_required:
        await check_key(call, endpoint, usage_key)
    call.anew()


def _authorizer(call: Call, endpoint: Endpoint) -> Doc:
    found = call.live.compiled.draft.authorizers.get(endpoint.method.get("authorizerId", ""))
    if found is None:
        raise misconfigured("Execution failed due to configuration error: there is no such authorizer")
    return found


_KINDS = {
    "MissingAuthenticationToken": ("MISSING_AUTHENTICATION_TOKEN", "MissingAuthenticationTokenException"),
    "SignatureDoesNotMatch": ("INVALID_SIGNATURE", "InvalidSignatureException"),
    "IncompleteSignature": ("INVALID_SIGNATURE", "IncompleteSignatureException"),
    "RequestExpired": ("INVALID_SIGNATURE", "InvalidSignatureException"),
    "UnrecognizedClient": ("ACCESS_DENIED", "UnrecognizedClientException"),
    "ExpiredToken": ("EXPIRED_TOKEN", "ExpiredTokenException"),
}


async def signed(host: Host, request: Request, now: float) -> Principal:
    """Who signed a request to an API. Raises Refused."""
    try:
        caller = await authenticate(request, _Credentials(host), now)
    except ServiceError as error:
        if error.code == "MissingAuthenticationToken":
            raise missing_token() from None
        kind, error_type = _KINDS.get(error.code, ("INVALID_SIGNATURE", "InvalidSignatureException"))
        raise Refused(kind, error.message, error_type) from None
    if caller.service != "execute-api":
        message = "Credential should be scoped to correct service: 'execute-api'."
        raise Refused("INVALID_SIGNATURE", message, "InvalidSignatureException")
    return caller.principal


async def may_invalidate(call: Call, endpoint: Endpoint) -> bool:
    """Whether the caller may get past the cache: execute-api:InvalidateCache."""
    await into_task()
    principal = call.principal
    if principal is None and "authorization" in call.request.headers:
        try:
            principal = await signed(call.host, call.request, call.now)
        except Refused:
            principal = None
    demand = Demand("execute-api:InvalidateCache", call.resource_arn, resource_policy=call.live.compiled.policy)
    return (await iam.decide(call.host, principal or ANONYMOUS, demand, _circumstances(call))).allowed


def _circumstances(call: Call) -> Mapping[str, Sequence[str]]:
    request = call.request
    return iam.circumstances(request.client, request.headers, request.secure, call.live.region, call.now)


async def _decide(call: Call, endpoint: Endpoint, principal: Principal) -> None:
    live = call.live
    resource = call.resource_arn
    if live.compiled.policy is None:
        known = iam.decide_cached(call.host, principal, "execute-api:Invoke", resource)
        if known is not None and known.allowed:
            return
    demand = Demand("execute-api:Invoke", resource, resource_policy=live.compiled.policy)
    decision = await iam.decide(call.host, principal, demand, _circumstances(call))
    if decision.allowed:
        return
    masked = resource.replace(live.account, "*" * 8 + live.account[-4:])
    raise access_denied(access_denied_message(principal.arn, "execute-api:Invoke", masked, decision))
