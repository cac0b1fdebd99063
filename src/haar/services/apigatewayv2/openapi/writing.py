"""From an HTTP API to its definition."""

import re
from datetime import UTC, datetime
from typing import Any

from haar.services.apigatewayv2.openapi.reading import (
    ANY_METHOD,
    AUTHORIZER,
    AUTHORIZER_MEMBERS,
    CORS,
    CORS_MEMBERS,
    DEFAULT,
    IMPORT_VERSION,
    INTEGRATION,
    INTEGRATION_MEMBERS,
    TAG_VALUE,
)
from haar.services.apigatewayv2.records import Doc, Draft

SIGV4 = "sigv4"
_VARIABLE = re.compile(r"\{([^{}+]+)\+?\}")


def write(draft: Draft, url: str, base_path: str, *, extensions: bool) -> Doc:
    """The definition, with API Gateway's own extensions when they are asked for."""
    api = draft.api
    created = datetime.fromtimestamp(api["CreatedDate"], UTC).strftime("%Y-%m-%d %H:%M:%SUTC")
    info: Doc = {"title": api["Name"]}
    if api.get("Description"):
        info["description"] = api["Description"]
    info["version"] = api.get("Version") or created
    found: Doc = {
        "openapi": "3.0.1",
        "info": info,
        "servers": [{"url": f"{url}/{{basePath}}", "variables": {"basePath": {"default": base_path}}}],
    }
    if api.get("DisableExecuteApiEndpoint") and extensions:
        found["servers"][0]["x-amazon-apigateway-endpoint-configuration"] = {"disableExecuteApiEndpoint": True}
    if api.get("Tags"):
        found["tags"] = [{"name": name} | ({TAG_VALUE: value} if extensions else {}) for name, value in sorted(api["Tags"].items())]
    found["paths"] = _paths(draft, extensions)
    schemes = _schemes(draft, extensions)
    if schemes:
        found["components"] = {"securitySchemes": schemes}
    if extensions:
        if api.get("CorsConfiguration"):
            cors = api["CorsConfiguration"]
            found[CORS] = {name: cors[member] for name, (member, _) in CORS_MEMBERS.items() if member in cors}
        found[IMPORT_VERSION] = "1.0"
    return found


def _paths(draft: Draft, extensions: bool) -> Doc:
    paths: dict[str, Doc] = {}
    for route in sorted(draft.routes.values(), key=lambda one: _place(one["RouteKey"])):
        path, verb = _place(route["RouteKey"])
        if verb != ANY_METHOD or extensions:
            paths.setdefault(path, {})[verb] = _operation(draft, route, extensions)
    return paths


def _place(key: str) -> tuple[str, str]:
    if key == "$default":
        return DEFAULT, ANY_METHOD
    method, _, path = key.partition(" ")
    return path, ANY_METHOD if method == "ANY" else method.lower()


def _operation(draft: Draft, route: Doc, extensions: bool) -> Doc:
    key = route["RouteKey"]
    found: Doc = {}
    if route.get("OperationName"):
        found["operationId"] = route["OperationName"]
    names = _VARIABLE.findall(key)
    if names:
        found["parameters"] = [
            {
                "name": name,
                "in": "path",
                "description": f"Generated path parameter for {name}",
                "required": True,
                "schema": {"type": "string"},
            }
            for name in names
        ]
    found["responses"] = {"default": {"description": f"Default response for {key}"}}
    authorizer = draft.authorizers.get(route.get("AuthorizerId", ""))
    if route["AuthorizationType"] == "AWS_IAM":
        found["security"] = [{SIGV4: []}]
    elif authorizer is not None:
        found["security"] = [{authorizer["Name"]: list(route.get("AuthorizationScopes", ()))}]
    if extensions:
        if key == "$default":
            found["isDefaultRoute"] = True
        integration = draft.integrations.get(route.get("Target", "").removeprefix("integrations/"))
        if integration is not None:
            found[INTEGRATION] = _integration(integration)
    return found


def _integration(integration: Doc) -> Doc:
    found = {name: integration[member] for name, (member, _) in INTEGRATION_MEMBERS.items() if member in integration}
    found["type"] = found["type"].lower()
    if "TlsConfig" in integration:
        found["tlsConfig"] = {"serverNameToVerify": integration["TlsConfig"].get("ServerNameToVerify")}
    return found


def _schemes(draft: Draft, extensions: bool) -> dict[str, Doc]:
    found: dict[str, Doc] = {}
    for authorizer in sorted(draft.authorizers.values(), key=lambda one: str(one["Name"])):
        found[authorizer["Name"]] = _scheme(draft, authorizer) | ({AUTHORIZER: _authorizer(authorizer)} if extensions else {})
    if any(route["AuthorizationType"] == "AWS_IAM" for route in draft.routes.values()):
        found[SIGV4] = {"type": "apiKey", "name": "Authorization", "in": "header"}
        if extensions:
            found[SIGV4]["x-amazon-apigateway-authtype"] = "awsSigv4"
    return found


def _scheme(draft: Draft, authorizer: Doc) -> Doc:
    if authorizer["AuthorizerType"] == "JWT":
        used = [route for route in draft.routes.values() if route.get("AuthorizerId") == authorizer["AuthorizerId"]]
        scopes = sorted({scope for route in used for scope in route.get("AuthorizationScopes", ())})
        return {"type": "oauth2", "flows": {"implicit": {"scopes": dict.fromkeys(scopes, "")}}} if scopes else {"type": "oauth2"}
    sources = authorizer.get("IdentitySource") or ["$request.header.Authorization"]
    place, _, name = sources[0].removeprefix("$request.").partition(".")
    return {"type": "apiKey", "name": name or "Authorization", "in": "query" if place == "querystring" else "header"}


def _authorizer(authorizer: Doc) -> Doc:
    found: dict[str, Any] = {"type": authorizer["AuthorizerType"].lower()}
    if "JwtConfiguration" in authorizer:
        settings = authorizer["JwtConfiguration"]
        found["jwtConfiguration"] = {"audience": list(settings.get("Audience", ())), "issuer": settings.get("Issuer")}
    found |= {name: authorizer[member] for name, (member, _) in AUTHORIZER_MEMBERS.items() if member in authorizer}
    if authorizer.get("IdentitySource"):
        found["identitySource"] = ",".join(authorizer["IdentitySource"])
    return found
