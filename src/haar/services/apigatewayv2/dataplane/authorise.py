"""Whether a call may be made: signatures (AWS_IAM), tokens (JWT), functions (CUSTOM)."""

from haar.auth.jwt import BadToken, check_claims, decode, scopes_of, shown
from haar.auth.sigv4 import claimed_scope
from haar.policy.messages import access_denied_message
from haar.services.apigateway import public as rest
from haar.services.apigatewayv2.dataplane.answers import denied, failed, forbidden, unauthorized
from haar.services.apigatewayv2.dataplane.authorizers import run_authorizer
from haar.services.apigatewayv2.dataplane.call import Call
from haar.services.apigatewayv2.dataplane.compile import Endpoint
from haar.services.apigatewayv2.dataplane.issuers import Issuers
from haar.services.apigatewayv2.dataplane.mapping import look_up
from haar.services.apigatewayv2.records import Doc
from haar.services.iam import public as iam
from haar.services.service import Demand

ALGORITHMS = ("RS256", "RS384", "RS512")
"""Of tokens: API Gateway takes RSA's only."""


async def authorise(call: Call, endpoint: Endpoint) -> None:
    """Raises Refused unless the call may be made; puts who made it into the call."""
    kind, authorizer = endpoint.authorization, endpoint.authorizer
    if kind == "AWS_IAM":
        await _signature(call)
    elif authorizer is None:
        raise failed("The route's authorizer is not there")
    elif kind == "JWT":
        await _token(call, endpoint, authorizer)
    else:
        await run_authorizer(call, authorizer)
    call.__dict__.pop("authorizer", None)


async def _signature(call: Call) -> None:
    stage, request = call.stage, call.request
    try:
        principal = await rest.signed(call.host, request, call.now)
    except rest.Refused as refused:
        raise denied(str(refused.message), call.socket) from None
    claimed = claimed_scope(request)
    if claimed is not None and claimed[0] != stage.region:
        raise denied(f"Credential should be scoped to a valid region, not '{claimed[0]}'.", call.socket)
    call.principal = principal
    resource = stage.arn(call.resource)
    known = iam.decide_cached(call.host, principal, "execute-api:Invoke", resource)
    if known is not None and known.allowed:
        return
    context = iam.circumstances(request.client, request.headers, request.secure, stage.region, call.now)
    decision = await iam.decide(call.host, principal, Demand("execute-api:Invoke", resource), context)
    if not decision.allowed:
        masked = resource.replace(stage.account, "*" * 8 + stage.account[-4:])
        raise denied(access_denied_message(principal.arn, "execute-api:Invoke", masked, decision), call.socket)


async def _token(call: Call, endpoint: Endpoint, authorizer: Doc) -> None:
    source = authorizer["IdentitySource"][0]
    given = look_up(call, source.removeprefix("$"))
    if not given:
        raise unauthorized("There is no token", (("www-authenticate", "Bearer"),))
    text = given[7:].strip() if given[:7].lower() == "bearer " else given
    settings = authorizer["JwtConfiguration"]
    try:
        token = decode(text)
        if token.algorithm not in ALGORITHMS:
            raise BadToken(f"signing method {token.algorithm} is invalid")
        if token.key_id is None:
            raise BadToken("the token has no kid header")
        key = await call.host.get(Issuers).key(settings["Issuer"], token.key_id)
        key.check(token)
        check_claims(token.claims, settings["Issuer"], settings["Audience"], call.now)
    except BadToken as error:
        challenge = f'Bearer scope="{" ".join(endpoint.scopes)}" error="invalid_token" error_description="{error}"'
        raise unauthorized(str(error), (("www-authenticate", challenge),)) from None
    scopes = scopes_of(token.claims)
    if endpoint.scopes and not set(endpoint.scopes) & set(scopes):
        challenge = f'Bearer scope="{" ".join(endpoint.scopes)}" error="insufficient_scope"'
        raise forbidden("insufficient_scope", (("www-authenticate", challenge),))
    claims = {name: shown(value) for name, value in token.claims.items()}
    call.jwt = {"claims": claims, "scopes": scopes if endpoint.scopes else None}
