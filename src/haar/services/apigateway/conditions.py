"""The condition keys apigateway:Request/… (what is asked for) and apigateway:Resource/… (what is there), of both versions of the API.

https://docs.aws.amazon.com/apigateway/latest/developerguide/security_iam_service-with-iam.html
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Keys = dict[str, Sequence[str]]

_ACCESS = {"authorizationtype": "RouteAuthorizationType", "apikeyrequired": "ApiKeyRequired"}
_API = {"name": "ApiName", "disableexecuteapiendpoint": "DisableExecuteApiEndpoint", "endpointconfiguration.types": "EndpointType"}
_TRUST = {
    "mutualtlsauthentication.truststoreuri": "MtlsTrustStoreUri",
    "mutualtlsauthentication.truststoreversion": "MtlsTrustStoreVersion",
}
_DOMAIN = {"endpointconfiguration.types": "EndpointType", "securitypolicy": "SecurityPolicy", **_TRUST}
_CONFIGURATIONS = {
    "domainnameconfigurations.endpointtype": "EndpointType",
    "domainnameconfigurations.securitypolicy": "SecurityPolicy",
}
_LOGGING = {
    "accesslogsettings.destinationarn": "AccessLoggingDestination",
    "accesslogsettings.format": "AccessLoggingFormat",
}
_KINDS: Mapping[str, Mapping[str, str]] = {
    "methods": _ACCESS,
    "routes": _ACCESS,
    "restapis": {**_API, "securitypolicy": "SecurityPolicy"},
    "apis": _API,
    "authorizers": {"type": "AuthorizerType", "authorizertype": "AuthorizerType", "authorizeruri": "AuthorizerUri"},
    "stages": _LOGGING,
    "deployments": {"stagename": "StageName"},
    "domainnames": {**_DOMAIN, **_CONFIGURATIONS},
}
"""By what a path ends with: which members, in lower case, are which keys."""


def kind_of(template: str) -> str:
    """What a path is of: `routes` for `/apis/{ApiId}/routes` and for `/apis/{ApiId}/routes/{RouteId}`."""
    parts = template.split("/")
    return parts[-2] if parts[-1].startswith("{") else parts[-1]


def requested(kind: str, input: Mapping[str, Any]) -> Keys:
    """apigateway:Request/… of an input, its patch operations included."""
    pairs = list(_flat("", input))
    for operation in input.get("patchOperations") or ():
        if isinstance(operation, dict) and operation.get("op") != "remove" and operation.get("value") is not None:
            path = str(operation.get("path", "")).lstrip("/").replace("/", ".").lower()
            # An endpoint type is replaced at the place of the former one.
            pairs.append(("endpointconfiguration.types" if path.startswith("endpointconfiguration.types") else path, operation["value"]))
    return _keys("Request", kind, pairs)


def existing(kind: str, doc: Mapping[str, Any] | None) -> Keys:
    """apigateway:Resource/… of a record."""
    return {} if doc is None else _keys("Resource", kind, _flat("", doc))


def defined(apis: str, api: Mapping[str, Any], methods: Iterable[Mapping[str, Any]], authorizers: Iterable[Mapping[str, Any]]) -> Keys:
    """apigateway:Request/… of a whole API that is imported; `apis` is `restapis` or `apis`."""
    found = _keys("Request", apis, _flat("", api))
    for kind, docs in (("methods", methods), ("authorizers", authorizers)):
        found |= _keys("Request", kind, [pair for doc in docs for pair in _flat("", doc)])
    return found


def _keys(prefix: str, kind: str, pairs: Iterable[tuple[str, Any]]) -> Keys:
    members = _KINDS.get(kind, {})
    found: dict[str, dict[str, None]] = {}
    for path, value in pairs:
        if (name := members.get(path)) is not None:
            found.setdefault(f"apigateway:{prefix}/{name}", {})[str(value).lower() if isinstance(value, bool) else str(value)] = None
    return {key: tuple(values) for key, values in found.items()}


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The texts and booleans of a value by the lower-case names that lead to them, places in lists left out."""
    if isinstance(value, dict):
        for name, one in value.items():
            if isinstance(name, str):
                yield from _flat(f"{path}.{name.lower()}" if path else name.lower(), one)
    elif isinstance(value, list):
        for one in value:
            yield from _flat(path, one)
    elif isinstance(value, str | bool):
        yield path, value
