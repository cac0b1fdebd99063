"""A definition as it comes in: JSON or YAML, its references and what is different between OpenAPI 3 and Swagger 2. Pure."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import orjson

from haar.services.apigateway import errors
from haar.services.apigateway.records import Doc

MAX_VALUES = 300_000
"""Values in a definition, counted after YAML's aliases are followed."""
MAX_DEPTH = 100
EXTENSIONS: Mapping[str, str] = MappingProxyType(
    {"securityPolicy": "x-amazon-apigateway-security-policy", "endpointAccessMode": "x-amazon-apigateway-endpoint-access-mode"}
)
"""Settings of an API that a definition has as they are."""
INVALID = "Invalid OpenAPI input."
_VARIABLE = re.compile(r"\$\{(AWS::[A-Za-z]+)\}")
_SERVER_VARIABLE = re.compile(r"\{([^{}]+)\}")


def parse(body: bytes, variables: Mapping[str, str]) -> Doc:
    """The definition as plain JSON values, with `${AWS::Region}` and the like replaced. Raises BadRequestException."""
    try:
        text = _VARIABLE.sub(lambda match: variables.get(match[1], match[0]), body.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise errors.bad_request(INVALID) from None
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        import yaml  # with the first definition in YAML: start-up does without

        try:
            found = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders
        except (yaml.YAMLError, ValueError, RecursionError):
            raise errors.bad_request(INVALID) from None
    if not isinstance(found, dict):
        raise errors.bad_request(INVALID)
    plain: Doc = _Copy().plain(found, 0)
    return plain


def as_json(value: Any, indent: str = "") -> str:
    """JSON as Jackson's pretty printer writes it, which is how AWS shows definitions and imported models."""
    deeper = indent + "  "
    if isinstance(value, dict):
        members = [f"{deeper}{_quoted(name)} : {as_json(one, deeper)}" for name, one in value.items()]
        return "{\n" + ",\n".join(members) + f"\n{indent}}}" if members else "{ }"
    if isinstance(value, list):
        return f"[ {', '.join(as_json(one, indent) for one in value)} ]" if value else "[ ]"
    return _quoted(value)


def _quoted(value: Any) -> str:
    return orjson.dumps(value).decode()


def as_yaml(definition: Doc) -> bytes:
    import yaml

    class Plain(yaml.SafeDumper):
        """Writes everything out: no anchors."""

        def ignore_aliases(self, data: object) -> bool:
            return True

    text: str = yaml.dump(definition, Dumper=Plain, sort_keys=False, allow_unicode=True)
    return text.encode()


class _Copy:
    """Copies a YAML value as JSON has it: keys and dates are texts, aliases are followed up to a bound."""

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def plain(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:
            raise errors.bad_request(INVALID)
        if isinstance(value, dict):
            return {_key(key): self.plain(one, depth + 1) for key, one in value.items()}
        if isinstance(value, list | tuple | set):
            return [self.plain(one, depth + 1) for one in value]
        if isinstance(value, datetime | date):
            return value.isoformat()
        return value if isinstance(value, str | int | float | bool | None) else str(value)


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return str(key)


class Document:
    """A parsed definition of either version."""

    def __init__(self, raw: Doc) -> None:
        self.raw = raw
        self.swagger = str(raw.get("swagger", "")).startswith("2")
        if not self.swagger and not str(raw.get("openapi", "")).startswith("3."):
            raise errors.bad_request(INVALID)
        self.info = self.mapping(raw.get("info"))

    def mapping(self, value: Any) -> Doc:
        """The value with its reference followed, when it is a mapping; an empty one when it is none."""
        for _ in range(MAX_DEPTH):
            if not isinstance(value, dict):
                return {}
            reference = value.get("$ref")
            if not isinstance(reference, str):
                return value
            value = self._find(reference)
        raise errors.bad_request(INVALID)

    def _find(self, reference: str) -> Any:
        if not reference.startswith("#/"):
            raise errors.bad_request(f"Unable to resolve reference: {reference}")
        found: Any = self.raw
        for part in reference[2:].split("/"):
            found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        if found is None:
            raise errors.bad_request(f"Unable to resolve reference: {reference}")
        return found

    @property
    def schemas(self) -> Doc:
        place = self.raw if self.swagger else self.mapping(self.raw.get("components"))
        return self.mapping(place.get("definitions" if self.swagger else "schemas"))

    @property
    def security_schemes(self) -> Doc:
        place = self.raw if self.swagger else self.mapping(self.raw.get("components"))
        return self.mapping(place.get("securityDefinitions" if self.swagger else "securitySchemes"))

    @property
    def base_path(self) -> str:
        """`/base/path`, without a slash at its end; empty when there is none."""
        if self.swagger:
            return _tidy(str(self.raw.get("basePath") or ""))
        servers = self.raw.get("servers")
        server = self.mapping(servers[0]) if isinstance(servers, list) and servers else {}
        variables = self.mapping(server.get("variables"))
        url = _SERVER_VARIABLE.sub(
            lambda match: str(self.mapping(variables.get(match[1])).get("default", match[0])), str(server.get("url") or "")
        )
        try:
            return _tidy(urlsplit(url).path)
        except ValueError:
            return ""


def _tidy(path: str) -> str:
    parts = [part for part in path.split("/") if part]
    return "/" + "/".join(parts) if parts else ""
