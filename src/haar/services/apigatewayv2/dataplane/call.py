"""One request to a deployed HTTP API on its way."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from haar.auth.principal import Principal
from haar.services.apigateway.public import VARIABLE, parse_query, request_time, spoken, trace_id
from haar.services.service import Host
from haar.wire.http import Request

if TYPE_CHECKING:
    from haar.services.apigateway.public import StageLog
    from haar.services.apigatewayv2.dataplane.compile import Endpoint, Stage
    from haar.services.apigatewayv2.websocket.session import Session

_DROPPED = frozenset(
    ("connection", "expect", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "cookie",
     "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto", "x-amzn-trace-id")
)  # fmt: skip
"""Headers that are the connection's, or that the API sets itself."""


@dataclass
class Call:
    host: Host
    stage: "Stage"
    request: Request
    path: str
    """The path as it was sent, without the stage: what routes are matched with."""
    request_id: str
    domain: str
    now: float
    endpoint: "Endpoint | None" = None
    path_parameters: dict[str, str] = field(default_factory=dict)
    principal: Principal | None = None
    """Who signed the request (AWS_IAM)."""
    jwt: dict[str, Any] | None = None
    """Claims and scopes of the token."""
    lambda_context: dict[str, Any] | None = None
    """What a Lambda authorizer said of the caller."""
    usage_key: str | None = None
    """The API key that a Lambda authorizer named."""
    socket: bool = False
    """Whether this is a WebSocket API's: a handshake, a message or an end."""
    preflight: bool = False
    """Whether its cross-origin settings have answered it already."""
    base_path: str | None = None
    """The base path of a custom domain that the request came in by."""
    session: "Session | None" = None
    event: dict[str, Any] = field(default_factory=dict)
    """What its integration is given, of a WebSocket API."""
    log: "StageLog | None" = None
    """The execution log of a WebSocket API."""
    integration_ms: int | None = None
    """How long the integration took."""
    integration_status: int | None = None
    """What the integration answered: of a function, what its response says."""
    service_status: int | None = None
    """What the service itself answered: of a function, Lambda."""
    endpoint_request_id: str | None = None
    """The request's id at the function, or at what else answered."""
    error: str = ""
    """Why the request was refused, or why its integration failed: for the access log."""

    def answered(self, status: int, headers: list[tuple[str, str]]) -> None:
        """What an endpoint answered, for the access log."""
        self.integration_status = self.service_status = status
        named = {name.lower(): value for name, value in headers}
        self.endpoint_request_id = named.get("x-amz-request-id") or named.get("x-amzn-requestid")

    @cached_property
    def trace_id(self) -> str:
        return trace_id(self.host, self.request.headers.get("x-amzn-trace-id"))

    @cached_property
    def raw_path(self) -> str:
        """The path as events show it: decoded, and with what was before it: the stage, unless that is $default, or a base path."""
        path = unquote(self.path) if "%" in self.path else self.path
        if self.base_path is not None:
            return f"/{self.base_path}{path}" if self.base_path else path
        return path if self.stage.name == "$default" else f"/{self.stage.name}{path}"

    @cached_property
    def forwarded(self) -> list[tuple[str, str]]:
        """The headers that the API adds."""
        request = self.request
        before = request.headers.get("x-forwarded-for")
        port = request.headers.get("host", "").rpartition(":")[2]
        return [
            ("X-Amzn-Trace-Id", self.trace_id),
            ("X-Forwarded-For", f"{before}, {request.client}" if before else request.client),
            ("X-Forwarded-Port", port if port.isdigit() else "443" if request.secure else "80"),
            ("X-Forwarded-Proto", "https" if request.secure else "http"),
        ]

    @cached_property
    def headers(self) -> dict[str, str]:
        """By lower-case name, repeated ones joined with commas; cookies are apart."""
        found = {name: value for name, value in self.request.headers.items() if name not in _DROPPED}
        for name, value in self.forwarded:
            found[name.lower()] = value
        found.setdefault("content-length", str(len(self.request.body)))
        return dict(sorted(found.items()))

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """All headers in their own case, in order."""
        own = [pair for pair in self.request.pairs if pair[0].lower() not in _DROPPED or pair[0].lower() == "cookie"]
        return own + self.forwarded

    @cached_property
    def cookies(self) -> list[str]:
        values = [value for name, value in self.request.pairs if name.lower() == "cookie"]
        return [one for value in values for one in (part.strip() for part in value.split(";")) if one]

    @cached_property
    def query(self) -> dict[str, list[str]]:
        return parse_query(self.request.query)

    @property
    def route_key(self) -> str:
        return self.endpoint.key if self.endpoint is not None else ""

    @cached_property
    def authorizer(self) -> dict[str, Any] | None:
        """`requestContext.authorizer` of format 2.0."""
        if self.jwt is not None:
            return {"jwt": self.jwt}
        if self.lambda_context is not None:
            return {"lambda": self.lambda_context or None}
        who = self.principal
        if who is None:
            return None
        return {
            "iam": {
                "accessKey": who.access_key_id,
                "accountId": who.account,
                "callerId": who.id,
                "cognitoIdentity": None,
                "principalOrgId": None,
                "userArn": who.arn,
                "userId": who.id,
            }
        }

    @property
    def resource(self) -> str:
        """What is called, in an ARN: `STAGE/GET/pets/1`, or `STAGE/$connect` of a WebSocket API."""
        return f"{self.stage.name}/{self.route_key}" if self.socket else f"{self.stage.name}/{self.request.method}{spoken(self.path)}"

    def say(self, text: str) -> None:
        if self.log is not None:
            self.log.add(text)

    @property
    def time(self) -> str:
        return request_time(int(self.now))


def stage_text(text: str) -> Callable[[Call], str]:
    """A setting in which `${stageVariables.name}` may stand."""
    if "${stageVariables." not in text:
        return lambda call: text
    return lambda call: VARIABLE.sub(lambda match: call.stage.variables.get(match[1], ""), text)
