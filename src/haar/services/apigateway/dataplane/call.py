"""One request to a deployed API on its way."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote_plus

from haar.auth.principal import Principal
from haar.services.apigateway.dataplane.routing import spoken
from haar.services.apigateway.dataplane.settings import NONE, MethodSettings
from haar.services.apigateway.truststores import describe
from haar.services.service import Host
from haar.wire.http import Request

if TYPE_CHECKING:
    from haar.services.apigateway.dataplane.answers import Refused
    from haar.services.apigateway.dataplane.compile import Endpoint, Live

OVERRIDE = "x-http-method-override"
"""The header that names another method than the request's own."""
_DROPPED = frozenset(
    (
        "connection",
        "content-length",
        "content-md5",
        "expect",
        "keep-alive",
        "max-forwards",
        "proxy-authenticate",
        "proxy-connection",
        "server",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "www-authenticate",
        OVERRIDE,
    )
)
"""Headers that no integration is sent, by the table of
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html#api-gateway-known-issues-rest-apis
"""


class Log(Protocol):
    """An execution log that a request is told in."""

    def add(self, text: str) -> None: ...


@dataclass
class Call:
    host: Host
    live: "Live"
    request: Request
    path: str
    """The path within the stage, as it was sent: `/books/1`."""
    request_id: str
    extended_id: str
    trace_id: str
    domain: str
    now: float
    endpoint: "Endpoint | None" = None
    path_parameters: dict[str, str] = field(default_factory=dict)
    principal: Principal | None = None
    """Who signed the request (AWS_IAM)."""
    authorizer: Mapping[str, Any] | None = None
    """What a Lambda authorizer said of the caller."""
    api_key: Mapping[str, Any] | None = None
    log: Log | None = None
    settings: MethodSettings = NONE
    cached: bool = False
    """Whether the response came from the stage's cache."""
    refused: "Refused | None" = None
    integration_ms: int | None = None
    integration_status: int | None = None
    base_path: str | None = None
    """The base path of the custom domain that it came in by."""
    tested: bool = False
    """Whether this is TestInvokeMethod's."""
    told: Any = None
    """`$context` as the call's templates have it: what the request's puts there, the response's finds."""

    @cached_property
    def headers(self) -> dict[str, list[str]]:
        """The application's headers as an integration sees them, in the case that they came in, each with all its values."""
        found: dict[str, list[str]] = {}
        names: dict[str, str] = {}
        for name, value in self.request.pairs:
            lower = name.lower()
            if lower in _DROPPED or (lower == "authorization" and self._signs(value)):
                continue
            if lower in names:
                found[names[lower]].append(value)
            else:
                names[lower] = name
                found[name] = [value]
        if self.tested:
            return found
        forwarded = found.pop(names.get("x-forwarded-for", ""), None)
        found.pop(names.get("x-forwarded-port", ""), None)
        found.pop(names.get("x-forwarded-proto", ""), None)
        found.pop(names.get("x-amzn-trace-id", ""), None)
        found["X-Amzn-Trace-Id"] = [self.trace_id]
        found["X-Forwarded-For"] = [f"{', '.join(forwarded)}, {self.request.client}" if forwarded else self.request.client]
        host = found.get(names.get("host", ""), [""])[0]
        port = host.rpartition(":")[2] if ":" in host else ""
        found["X-Forwarded-Port"] = [port if port.isdigit() else "443" if self.request.secure else "80"]
        found["X-Forwarded-Proto"] = ["https" if self.request.secure else "http"]
        return found

    def _signs(self, authorization: str) -> bool:
        """Whether the header is a signature, which is for API Gateway alone."""
        return authorization.startswith("AWS4-") or (self.endpoint is not None and self.endpoint.authorization == "AWS_IAM")

    def header(self, name: str) -> str | None:
        """The last value of a header, whatever its case."""
        lower = name.lower()
        for known, values in self.headers.items():
            if known.lower() == lower:
                return values[-1]
        return None

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """The query's parameters, decoded, each with all its values; REST APIs split them at semicolons, too."""
        return parse_query(self.request.query.replace(";", "&"))

    @cached_property
    def body_text(self) -> str:
        return self.request.body.decode("utf-8", "replace")

    @property
    def resource_arn(self) -> str:
        """What is called, as policies name it. A slash at the end is none of its own: it is routed as if it were not there."""
        path = spoken(self.path)
        if len(path) > 1:
            path = path.removesuffix("/")
        return self.live.arn(f"{self.live.stage}/{self.request.method}{path}")

    @property
    def shown_path(self) -> str:
        """The path as integrations are told it: with a custom domain's base path."""
        return self.path if self.base_path is None else self.request.path

    @cached_property
    def context(self) -> dict[str, Any]:
        """`requestContext` of the proxy event; the base of `$context`."""
        live, request, endpoint = self.live, self.request, self.endpoint
        context: dict[str, Any] = {
            "accountId": live.account,
            "apiId": live.api_id,
            "domainName": self.domain,
            "domainPrefix": self.domain.partition(".")[0],
            "extendedRequestId": self.extended_id,
            "httpMethod": request.method,
            "identity": self._identity(),
            "path": self.shown_path if self.tested or self.base_path is not None else f"/{live.stage}{self.path}",
            "protocol": "HTTP/1.1",
            "requestId": self.request_id,
            "requestTime": request_time(int(self.now)),
            "requestTimeEpoch": int(self.now * 1000),
            "stage": live.stage,
        }
        if live.deployment_id:
            context["deploymentId"] = live.deployment_id
        if endpoint is not None:
            context["resourceId"] = endpoint.resource_id
            context["resourcePath"] = endpoint.resource_path
            if endpoint.operation_name:
                context["operationName"] = endpoint.operation_name
        if self.authorizer is not None:
            context["authorizer"] = self.authorizer
        if live.is_canary is not None:
            context["isCanaryRequest"] = "true" if live.is_canary else "false"
        if self.base_path is not None:
            context["customDomain"] = {"basePathMatched": self.base_path or "(none)"}
        return context

    def _identity(self) -> dict[str, Any]:
        who = self.principal
        identity: dict[str, Any] = {
            "accessKey": who.access_key_id if who else None,
            "accountId": who.account if who else None,
            "caller": who.id if who else None,
            "cognitoAuthenticationProvider": None,
            "cognitoAuthenticationType": None,
            "cognitoIdentityId": None,
            "cognitoIdentityPoolId": None,
            "principalOrgId": None,
            "sourceIp": self.request.client,
            "user": who.id if who else None,
            "userAgent": self.request.headers.get("user-agent"),
            "userArn": who.arn if who else None,
        }
        if self.request.certificate is not None:
            identity["clientCert"] = describe(self.request.certificate.der)
        if self.api_key is not None:
            identity["apiKey"] = self.api_key["value"]
            identity["apiKeyId"] = self.api_key["id"]
        return identity

    def anew(self) -> None:
        """Who calls is known now: the context is made anew."""
        self.__dict__.pop("context", None)

    def received(self, status: int, began: float) -> None:
        """The integration has answered."""
        self.integration_ms, self.integration_status = int((self.host.clock.now() - began) * 1000), status
        self.say(f"Received response. Status: {status}, Integration latency: {self.integration_ms} ms")

    def say(self, text: str) -> None:
        if self.log is not None:
            self.log.add(text)


@lru_cache(maxsize=16)
def request_time(second: int) -> str:
    """`25/Nov/2026:20:00:00 +0000`"""
    return datetime.fromtimestamp(second, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")


def parse_query(query: str) -> dict[str, list[str]]:
    """Parameters of a raw query string, in order; a name without `=` has an empty value."""
    found: dict[str, list[str]] = {}
    if not query:
        return found
    for part in query.split("&"):
        if not part:
            continue
        name, _, value = part.partition("=")
        if "%" in name or "+" in name:
            name = unquote_plus(name)
        if "%" in value or "+" in value:
            value = unquote_plus(value)
        found.setdefault(name, []).append(value)
    return found
