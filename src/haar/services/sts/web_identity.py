"""AssumeRoleWithWebIdentity: a role for who brings a token of an OpenID Connect provider. The request takes no signature.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from haar.auth.jwt import BadToken, Claims, Token, decode
from haar.auth.principal import Principal
from haar.services.apigatewayv2.public import Issuers
from haar.services.iam.public import assumable_role, issue_session, oidc_clients, oidc_provider_arn, session_of
from haar.services.service import Context, Demand, Input, Output
from haar.services.sts import errors
from haar.services.sts.assume_role import DEFAULT_SECONDS, NO_TRUST, ROLE_ARN, TOO_LONG
from haar.services.sts.service import service
from haar.services.sts.sessions import credentials, packed_size, session_policies, session_tags, tag_conditions
from haar.wire.errors import ServiceError

ACTION = "sts:AssumeRoleWithWebIdentity"
TAGS = "https://aws.amazon.com/tags"
SOURCE_IDENTITY = "https://aws.amazon.com/source_identity"
IDENTITY = "\0identity"
"""Where an input keeps whom its token has been found to speak of."""
GITHUB = "token.actions.githubusercontent.com"
GITHUB_CLAIMS = (
    "actor",
    "actor_id",
    "enterprise",
    "enterprise_id",
    "environment",
    "job_workflow_ref",
    "ref",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "workflow",
)
"""Claims of GitHub Actions that are condition keys as well."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a token speaks of, once it is believed."""

    provider: str
    """The ARN of the provider."""
    name: str
    """Its URL without the scheme, which its condition keys begin with."""
    claims: Claims
    audience: tuple[str, ...]
    tags: tuple[dict[str, str], ...] = ()
    transitive: tuple[str, ...] = ()
    source: str = ""

    def conditions(self) -> dict[str, Sequence[str]]:
        keys: dict[str, Sequence[str]] = {"aud": self.audience, "sub": (self.claims["sub"],)}
        if "azp" in self.claims:
            keys["oaud"] = _texts(self.claims.get("aud"))
        for name in ("amr", "email", *(GITHUB_CLAIMS if self.name == GITHUB else ())):
            if values := _texts(self.claims.get(name)):
                keys[name] = values
        found: dict[str, Sequence[str]] = {f"{self.name}:{name}": values for name, values in keys.items()}
        found["aws:FederatedProvider"] = (self.provider,)
        found |= tag_conditions({"Tags": self.tags})
        if self.transitive:
            found["sts:TransitiveTagKeys"] = self.transitive
        if self.source:
            found["sts:SourceIdentity"] = (self.source,)
        return found


def _texts(value: Any) -> tuple[str, ...]:
    """A claim of one text or several; none for what is neither."""
    return tuple(one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str))


def _invalid(message: str) -> ServiceError:
    return ServiceError("InvalidIdentityToken", message, 400)


async def _identity(ctx: Context, text: str) -> Identity:
    """Raises InvalidIdentityToken, ExpiredTokenException."""
    try:
        token = decode(text)
    except BadToken:
        raise _invalid("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)") from None
    claims = token.claims
    for name in ("iss", "sub", "aud", "exp", "iat"):
        if name not in claims:
            raise _invalid(f"Missing a required claim: {name}")
    issuer = str(claims["iss"])
    name = issuer.removeprefix("https://").rstrip("/")
    clients = await oidc_clients(ctx.host, name)
    if clients is None:
        raise _invalid(f"No OpenIDConnect provider found in your account for {issuer}")
    audience = _texts(claims.get("azp")) or _texts(claims["aud"])
    if not set(audience) & set(clients):
        raise _invalid("Incorrect token audience")
    # Asked as the provider is registered, however a stranger's token writes that.
    await _believe(ctx, f"https://{name}", token)
    tags, transitive = _tags(claims.get(TAGS))
    source = claims.get(SOURCE_IDENTITY)
    return Identity(oidc_provider_arn(ctx.host, name), name, claims, audience, tags, transitive, source if isinstance(source, str) else "")


async def _believe(ctx: Context, issuer: str, token: Token) -> None:
    """The token's times and signature."""
    claims, now = token.claims, int(ctx.now())
    if not isinstance(claims["sub"], str) or not all(_is_time(claims[name]) for name in ("exp", "iat")):
        raise _invalid("The ID Token provided has a claim of a wrong type.")
    if claims["exp"] <= now:
        message = f"Token expired: current date/time {now} must be before the expiration date/time {int(claims['exp'])}"
        raise ServiceError("ExpiredTokenException", message, 400)
    if _is_time(claims.get("nbf")) and claims["nbf"] > now:
        raise _invalid(f"Token is not yet valid: current date/time {now} must not be before {int(claims['nbf'])}")
    try:
        key = await ctx.host.get(Issuers).key(issuer, token.key_id or "")
    except BadToken:
        raise _invalid(
            "Couldn't retrieve verification key from your identity provider,  "
            "please reference AssumeRoleWithWebIdentity documentation for requirements"
        ) from None
    try:
        key.check(token)
    except BadToken:
        raise _invalid(
            "The web identity token that was passed could not be validated by AWS. "
            "Get a new identity token from the identity provider and then retry the request."
        ) from None


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _tags(claim: Any) -> tuple[tuple[dict[str, str], ...], tuple[str, ...]]:
    """Session tags that the token has, and which of them go on."""
    if not isinstance(claim, dict):
        return (), ()
    given = claim.get("principal_tags")
    pairs = given.items() if isinstance(given, dict) else ()
    tags = tuple({"Key": key, "Value": values[0]} for key, value in pairs if (values := _texts(value)))
    return tags, _texts(claim.get("transitive_tag_keys"))


def _refuse(error: ServiceError) -> None:
    raise errors.access_denied(f"Not authorized to perform {ACTION}")


async def _demands(ctx: Context, input: Input) -> Sequence[Demand]:
    """The role's trust policy decides, of whom the token speaks: from here on, that is who calls."""
    errors.refuse_unbuilt(input, "ProviderId", "MinimumSessionTokenSize")
    arn = input["RoleArn"]
    if not ROLE_ARN.fullmatch(arn):
        raise errors.validation(f"{arn} is invalid")
    identity = input[IDENTITY] = await _identity(ctx, input["WebIdentityToken"])
    ctx.principal = Principal("federated", ctx.account, identity.provider, f"{identity.provider}:{identity.claims['sub']}")
    role = await assumable_role(ctx.host, arn)
    tags: Mapping[str, str] = {} if role is None else role.tags
    conditions: dict[str, Sequence[str]] = identity.conditions() | {"sts:RoleSessionName": (input["RoleSessionName"],)}
    conditions |= {f"iam:ResourceTag/{key}": (value,) for key, value in tags.items()}
    actions = [ACTION, *(["sts:TagSession"] if identity.tags else []), *(["sts:SetSourceIdentity"] if identity.source else [])]
    trust = NO_TRUST if role is None else role.trust
    return [Demand(action, arn, conditions, trust, tags, _refuse) for action in actions]


@service.operation("AssumeRoleWithWebIdentity", _demands, signed=False)
async def assume_role_with_web_identity(ctx: Context, input: Input) -> Output:
    role, identity = await assumable_role(ctx.host, input["RoleArn"]), input[IDENTITY]
    if role is None:
        raise errors.access_denied(f"Not authorized to perform {ACTION}")
    seconds = input.get("DurationSeconds", DEFAULT_SECONDS)
    if seconds > role.max_session:
        raise errors.validation(TOO_LONG)
    policies, tags = await session_policies(ctx, input), session_tags({"Tags": identity.tags})
    for key in identity.transitive:
        if key not in tags:
            raise errors.invalid_parameter(f"The transitive tag key {key} is not one of the session tags of the request.")
    session = replace(
        session_of(ctx.host, role, input["RoleSessionName"]),
        session_policies=policies,
        tags=tuple(tags.items()),
        transitive_tags=identity.transitive,
        source_identity=identity.source,
        conditions=(("aws:FederatedProvider", identity.provider),),
    )
    return {
        "Credentials": credentials(issue_session(ctx.host, session, seconds)),
        "SubjectFromWebIdentityToken": identity.claims["sub"],
        "AssumedRoleUser": {"AssumedRoleId": session.id, "Arn": session.arn},
        "Provider": identity.provider,
        "Audience": identity.audience[0],
        **packed_size(policies, tags),
        **({"SourceIdentity": identity.source} if identity.source else {}),
    }
