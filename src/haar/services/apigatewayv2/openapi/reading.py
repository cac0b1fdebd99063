"""From a definition to an HTTP API: settings, cross-origin rules, authorizers, integrations, routes.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-open-api.html
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from haar.services.apigateway.public import Document
from haar.services.apigatewayv2 import errors
from haar.services.apigatewayv2.authorizers import MAX_AUTHORIZERS
from haar.services.apigatewayv2.authorizers import complete as complete_authorizer
from haar.services.apigatewayv2.face import check as validate
from haar.services.apigatewayv2.integrations import ID_LETTERS, MAX_INTEGRATIONS
from haar.services.apigatewayv2.integrations import complete as complete_integration
from haar.services.apigatewayv2.openapi.values import boolean, mapping, mappings, number, text, texts
from haar.services.apigatewayv2.records import Doc, Draft
from haar.services.apigatewayv2.routes import MAX_ROUTES
from haar.services.apigatewayv2.routes import check as check_route
from haar.wire.errors import ServiceError

Members = dict[str, tuple[str, Callable[[Any], Any]]]
"""By the definition's names: API Gateway's, and what makes the value."""

ANY_METHOD = "x-amazon-apigateway-any-method"
INTEGRATION = "x-amazon-apigateway-integration"
AUTHORIZER = "x-amazon-apigateway-authorizer"
CORS = "x-amazon-apigateway-cors"
ENDPOINT = "x-amazon-apigateway-endpoint-configuration"
IMPORT_VERSION = "x-amazon-apigateway-importexport-version"
TAG_VALUE = "x-amazon-apigateway-tag-value"
DEFAULT = "/$default"
DISCOVERY = "/.well-known/openid-configuration"
VERBS = ("get", "put", "post", "delete", "options", "head", "patch", ANY_METHOD)
PARSE = "Parse issue:"
_RESPONSE = re.compile(r"default|[1-5](\d\d|XX)|x-.*")
IGNORED = ("parameters", "requestBody", "callbacks", "servers")
"""What an operation may have and HTTP APIs do nothing with."""
INTEGRATION_MEMBERS: Members = {
    "connectionId": ("ConnectionId", text),
    "connectionType": ("ConnectionType", text),
    "credentials": ("CredentialsArn", text),
    "description": ("Description", text),
    "httpMethod": ("IntegrationMethod", text),
    "integrationSubtype": ("IntegrationSubtype", text),
    "payloadFormatVersion": ("PayloadFormatVersion", text),
    "requestParameters": ("RequestParameters", mapping),
    "responseParameters": ("ResponseParameters", mappings),
    "timeoutInMillis": ("TimeoutInMillis", number),
    "type": ("IntegrationType", text),
    "uri": ("IntegrationUri", text),
}
AUTHORIZER_MEMBERS: Members = {
    "authorizerCredentials": ("AuthorizerCredentialsArn", text),
    "authorizerPayloadFormatVersion": ("AuthorizerPayloadFormatVersion", text),
    "authorizerResultTtlInSeconds": ("AuthorizerResultTtlInSeconds", number),
    "authorizerUri": ("AuthorizerUri", text),
    "enableSimpleResponses": ("EnableSimpleResponses", boolean),
    "identitySource": ("IdentitySource", texts),
}
CORS_MEMBERS: Members = {
    "allowCredentials": ("AllowCredentials", boolean),
    "allowHeaders": ("AllowHeaders", texts),
    "allowMethods": ("AllowMethods", texts),
    "allowOrigins": ("AllowOrigins", texts),
    "exposeHeaders": ("ExposeHeaders", texts),
    "maxAge": ("MaxAge", number),
}


def members(given: Doc, known: Members) -> Doc:
    """What a definition gives of the members that are known. Raises BadRequestException for a value that is none."""
    return {member: take(given[name]) for name, (member, take) in known.items() if given.get(name) is not None}


def first_up(name: str) -> str:
    return name[0].upper() + name[1:]


class Reading:
    """Puts one definition into a draft that has no parts yet; `former` are the ids of routes that an API had, by key."""

    def __init__(self, document: Document, draft: Draft, new_id: Callable[[int], str], former: dict[str, str]) -> None:
        self.document, self.draft = document, draft
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.info: list[str] = []
        self._new_id, self._former = new_id, former
        self._authorizer_ids: dict[str, str] = {}
        self._shared: dict[str, str | None] = {}
        """Integrations that several operations refer to, by their references."""

    def read(self, base_path: str) -> None:
        self._settings()
        self._authorizers()
        paths = self.document.raw.get("paths")
        if not isinstance(paths, dict):
            self.errors.append(f"{PARSE} attribute paths is missing")
            return
        prefix = self._prefix(base_path)
        for path, item in self.document.mapping(paths).items():
            if path.startswith("/"):
                self._path(path if path == DEFAULT else prefix + path, self.document.mapping(item))

    def settle(self, fail_on_warnings: bool) -> None:
        """Raises BadRequestException when there are errors, or warnings that are not to be."""
        if self.errors:
            raise errors.bad_request("Errors found during import:\n\t" + "\n\t".join(self.errors))
        if self.warnings and fail_on_warnings:
            raise errors.bad_request("Warnings found during import:\n\t" + "\n\t".join(self.warnings))

    @contextmanager
    def _of(self, what: str) -> Iterator[None]:
        """Keeps an error of this part, so that the rest is read too."""
        try:
            yield
        except ServiceError as error:
            self.errors.append(f"{what}: {error.message}")

    def _settings(self) -> None:
        document, api = self.document, self.draft.api
        info = document.info
        if not info.get("title"):
            self.errors.append(f"{PARSE} attribute info.title is missing")
        if not info.get("version"):
            self.warnings.append(f"{PARSE} attribute info.version is missing")
        api["Name"] = str(info.get("title", ""))
        for member in ("description", "version"):
            if info.get(member) not in (None, ""):
                api[first_up(member)] = str(info[member])
        servers = document.raw.get("servers")
        server = document.mapping(servers[0]) if isinstance(servers, list) and servers else {}
        for holder in (document.raw, server):
            endpoint = document.mapping(holder.get(ENDPOINT))
            if "disableExecuteApiEndpoint" in endpoint:
                api["DisableExecuteApiEndpoint"] = str(endpoint["disableExecuteApiEndpoint"]).lower() == "true"
        cors = document.mapping(document.raw.get(CORS))
        if cors:
            with self._of("Unable to set the cross-origin configuration"):
                api["CorsConfiguration"] = members(cors, CORS_MEMBERS)
                validate("UpdateApi", {"ApiId": "", "CorsConfiguration": api["CorsConfiguration"]})
        tags = document.raw.get("tags")
        for tag in tags if isinstance(tags, list) else ():
            if isinstance(tag, dict) and TAG_VALUE in tag and "name" in tag:
                api["Tags"] = api.get("Tags", {}) | {str(tag["name"]): str(tag[TAG_VALUE])}

    def _prefix(self, base_path: str) -> str:
        """What of the definition's base path comes before its paths."""
        given = self.document.base_path
        if base_path == "split":
            _, _, rest = given[1:].partition("/")
            return f"/{rest}" if rest else ""
        return given if base_path == "prepend" else ""

    def _authorizers(self) -> None:
        for name, given in self.document.security_schemes.items():
            scheme = self.document.mapping(given)
            extension = self.document.mapping(scheme.get(AUTHORIZER))
            if extension:
                with self._of(f"Unable to create authorizer '{name}'"):
                    self._authorizer(name, scheme, extension)

    def _authorizer(self, name: str, scheme: Doc, given: Doc) -> None:
        if len(self.draft.authorizers) >= MAX_AUTHORIZERS:
            raise errors.full("Authorizers")
        kind = str(given.get("type", "")).upper()
        if kind not in ("JWT", "REQUEST"):
            self.warnings.append(f"Authorizer {name} of type {kind.lower() or 'null'} is not supported for HTTP APIs. Ignoring.")
            return
        authorizer_id = self._new_id(6)
        made: Doc = {"AuthorizerId": authorizer_id, "AuthorizerType": kind, "Name": name}
        made |= members(given, AUTHORIZER_MEMBERS)
        if kind == "JWT":
            settings = self.document.mapping(given.get("jwtConfiguration"))
            issuer = text(settings.get("issuer") or scheme.get("openIdConnectUrl") or "").removesuffix(DISCOVERY)
            made["JwtConfiguration"] = {"Issuer": issuer, "Audience": texts(settings["audience"]) if settings.get("audience") else []}
            made.setdefault("IdentitySource", ["$request.header.Authorization"])
        validate("UpdateAuthorizer", {"ApiId": ""} | made)
        self.draft.authorizers[authorizer_id] = complete_authorizer(self.draft, made)
        self._authorizer_ids[name] = authorizer_id

    def _path(self, path: str, item: Doc) -> None:
        for verb in VERBS:
            if verb in item:
                key = "$default" if path == DEFAULT else f"{'ANY' if verb == ANY_METHOD else verb.upper()} {path}"
                operation = self.document.mapping(item[verb])
                for status in self.document.mapping(operation.get("responses")):
                    if not _RESPONSE.fullmatch(status):
                        self.warnings.append(f"{PARSE} attribute paths.'{path}'({verb}).responses.{status} is unexpected")
                with self._of(f"Unable to create route '{key}'"):
                    self._route(key, operation)

    def _route(self, key: str, operation: Doc) -> None:
        draft = self.draft
        if len(draft.routes) >= MAX_ROUTES:
            raise errors.full("Routes")
        self.info.extend(f"{member} of {key} is not supported for HTTP APIs. Ignoring." for member in IGNORED if member in operation)
        route: Doc = {
            "ApiKeyRequired": False,
            "AuthorizationType": "NONE",
            "RouteId": self._former.get(key) or self._new_id(ID_LETTERS),
            "RouteKey": key,
        }
        if operation.get("operationId"):
            route["OperationName"] = str(operation["operationId"])
        integration = self._integration(key, operation.get(INTEGRATION))
        if integration is not None:
            route["Target"] = f"integrations/{integration}"
        route |= self._security(key, operation)
        check_route(draft, route)
        draft.routes[route["RouteId"]] = route

    def _integration(self, key: str, given: Any) -> str | None:
        """The id of the integration that an operation has; one that is referred to is made once."""
        reference = given.get("$ref") if isinstance(given, dict) else None
        if isinstance(reference, str) and reference in self._shared:
            return self._shared[reference]
        found = self.document.mapping(given)
        made = self._made(key, found) if found else None
        if isinstance(reference, str):
            self._shared[reference] = made
        return made

    def _made(self, key: str, given: Doc) -> str | None:
        if len(self.draft.integrations) >= MAX_INTEGRATIONS:
            raise errors.full("Integrations")
        kind = str(given.get("type", "")).upper()
        if kind not in ("AWS_PROXY", "HTTP_PROXY"):
            self.warnings.append(f"Integration type {kind or 'null'} of route {key} is not supported for HTTP APIs. Ignoring.")
            return None
        integration_id = self._new_id(ID_LETTERS)
        made: Doc = {"IntegrationId": integration_id, "PayloadFormatVersion": "1.0"}
        made |= members(given, INTEGRATION_MEMBERS) | {"IntegrationType": kind}
        for member in ("ConnectionType", "IntegrationMethod"):
            if member in made:
                made[member] = "ANY" if made[member] == ANY_METHOD else made[member].upper()
        verified = self.document.mapping(given.get("tlsConfig")).get("serverNameToVerify")
        if verified:
            made["TlsConfig"] = {"ServerNameToVerify": text(verified)}
        validate("UpdateIntegration", {"ApiId": ""} | made)
        self.draft.integrations[integration_id] = complete_integration(self.draft, made)
        return integration_id

    def _security(self, key: str, operation: Doc) -> Doc:
        """How the route is protected: by the first requirement that API Gateway knows."""
        wanted = operation["security"] if "security" in operation else self.document.raw.get("security")
        for requirement in wanted if isinstance(wanted, list) else ():
            for name, scopes in requirement.items() if isinstance(requirement, dict) else ():
                scheme = self.document.mapping(self.document.security_schemes.get(name))
                if str(scheme.get("x-amazon-apigateway-authtype", "")).lower() == "awssigv4":
                    return {"AuthorizationType": "AWS_IAM"}
                authorizer_id = self._authorizer_ids.get(name)
                if authorizer_id is None:
                    self.warnings.append(f"Security scheme {name} of route {key} has no authorizer that HTTP APIs support. Ignoring.")
                    continue
                if self.draft.authorizers[authorizer_id]["AuthorizerType"] == "REQUEST":
                    return {"AuthorizationType": "CUSTOM", "AuthorizerId": authorizer_id}
                found: Doc = {"AuthorizationType": "JWT", "AuthorizerId": authorizer_id}
                return found | ({"AuthorizationScopes": texts(scopes)} if isinstance(scopes, list) and scopes else {})
        return {}
