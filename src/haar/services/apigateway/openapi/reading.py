"""From a definition to an API: settings, models, validators, authorizers, gateway responses, resources with their methods."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from haar.services.apigateway import errors
from haar.services.apigateway.authorizers import MAX_AUTHORIZERS, check_authorizer
from haar.services.apigateway.dataplane.answers import STATUSES, TYPES
from haar.services.apigateway.gatewayresponses import check_response
from haar.services.apigateway.models import check_schema
from haar.services.apigateway.openapi.document import EXTENSIONS, Document, as_json
from haar.services.apigateway.openapi.methods import Methods
from haar.services.apigateway.records import Doc, Draft
from haar.services.apigateway.resources import MAX_RESOURCES, check_place, path_of
from haar.wire.errors import ServiceError

MODELS = "https://apigateway.amazonaws.com/restapis"
UNREADABLE = "Unable to parse API definition"
"""How an error begins after which nothing more is read."""
ANY_METHOD = "x-amazon-apigateway-any-method"
VERBS = ("get", "put", "post", "delete", "patch", "options", "head", ANY_METHOD)
_SCHEMA = re.compile(r"#/(?:definitions|components/schemas)/([^/]+)")


class Problems:
    """What is wrong with a definition: all of it is told at once."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.warnings: list[str] = []

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        """Keeps an error of this part, so that the rest is read too."""
        try:
            yield
        except ServiceError as error:
            if (error.message or "").startswith(UNREADABLE):
                raise
            self.errors.append(f"{what}: {error.message}")

    def settle(self, fail_on_warnings: bool) -> None:
        """Raises BadRequestException when there are errors, or warnings that are not to be."""
        if self.errors:
            raise errors.bad_request("Errors found during import:\n\t" + "\n\t".join(self.errors))
        if self.warnings and fail_on_warnings:
            raise errors.bad_request("Warnings found during import:\n\t" + "\n\t".join(self.warnings))


def models_url(api_id: str, name: str) -> str:
    return f"{MODELS}/{api_id}/models/{name}"


class Reading:
    """Puts one definition into a draft."""

    def __init__(self, document: Document, draft: Draft, new_id: Callable[[int], str], account: str) -> None:
        self.document = document
        self.draft = draft
        self.account = account
        self.problems = Problems()
        self._new_id = new_id

    def read(self, base_path: str, *, overwrite: bool) -> None:
        """Everything but the resource policy. `base_path` is what becomes of the definition's: `ignore`, `prepend` or `split`."""
        known = {resource["path"]: resource for resource in self.draft.resources.values()}
        if overwrite:
            self._clear()
        self._settings()
        self._models()
        self._validators()
        self._authorizers()
        self._gateway_responses()
        self._paths(self._prefix(base_path), known)
        self._documentation()

    def _clear(self) -> None:
        """What an overwriting import leaves: the root, without methods."""
        draft = self.draft
        root = draft.api["rootResourceId"]
        draft.resources = {root: {"id": root, "path": "/"}}
        draft.models, draft.validators, draft.authorizers, draft.gateway_responses = {}, {}, {}, {}
        draft.documentation.pop("parts", None)
        for member in ("description", "version", "binaryMediaTypes", "minimumCompressionSize"):
            draft.api.pop(member, None)
        draft.api["apiKeySource"] = "HEADER"

    def _settings(self) -> None:
        document, api = self.document, self.draft.api
        if document.info.get("title"):
            api["name"] = str(document.info["title"])
        for member in ("description", "version"):
            if document.info.get(member) not in (None, ""):
                api[member] = str(document.info[member])
        raw = document.raw
        types = raw.get("x-amazon-apigateway-binary-media-types")
        if isinstance(types, list):
            known = api.get("binaryMediaTypes", [])
            api["binaryMediaTypes"] = known + [str(one) for one in types if str(one) not in known]
        source = raw.get("x-amazon-apigateway-api-key-source")
        if source is not None:
            if source not in ("HEADER", "AUTHORIZER"):
                raise errors.bad_request("Invalid API key source specified. Valid options are HEADER,AUTHORIZER")
            api["apiKeySource"] = source
        size = raw.get("x-amazon-apigateway-minimum-compression-size")
        if isinstance(size, int) and not isinstance(size, bool):
            if not 0 <= size <= 10_485_760:
                raise errors.bad_request("Invalid minimum compression size, must be between 0 and 10485760")
            api["minimumCompressionSize"] = size
        for member, extension in EXTENSIONS.items():
            if isinstance(raw.get(extension), str):
                api[member] = raw[extension]
        servers = raw.get("servers")
        place = servers[0] if isinstance(servers, list) and servers and isinstance(servers[0], dict) else {}
        for holder in (raw, place):
            endpoint = document.mapping(holder.get("x-amazon-apigateway-endpoint-configuration"))
            if "disableExecuteApiEndpoint" in endpoint:
                api["disableExecuteApiEndpoint"] = str(endpoint["disableExecuteApiEndpoint"]).lower() == "true"
            if endpoint.get("ipAddressType") in ("ipv4", "dualstack"):
                api["endpointConfiguration"] = api["endpointConfiguration"] | {"ipAddressType": endpoint["ipAddressType"]}
            if isinstance(endpoint.get("vpcEndpointIds"), list):
                api["endpointConfiguration"] = api["endpointConfiguration"] | {"vpcEndpointIds": endpoint["vpcEndpointIds"]}

    def _models(self) -> None:
        for name, schema in self.document.schemas.items():
            if not isinstance(schema, dict):
                continue
            with self.problems.of(f"Unable to create model for '{name}'"):
                if not (name.isalnum() and name.isascii()):
                    raise errors.bad_request("Model name must be alphanumeric: " + name)
                self.model(name, schema)

    def model(self, name: str, schema: Doc) -> None:
        """Puts a model; one of the same name is replaced."""
        text = as_json(self._linked(schema))
        check_schema(text, "application/json")
        old = self.draft.models.get(name, {})
        model: Doc = {"id": old.get("id") or self._new_id(6), "name": name, "contentType": "application/json", "schema": text}
        if isinstance(schema.get("description"), str):
            model["description"] = schema["description"]
        self.draft.models[name] = model

    def _linked(self, schema: Any) -> Any:
        """The schema with its references to others as those of API Gateway's models."""
        if isinstance(schema, list):
            return [self._linked(one) for one in schema]
        if not isinstance(schema, dict):
            return schema
        reference = schema.get("$ref")
        if isinstance(reference, str) and (matched := _SCHEMA.fullmatch(reference)):
            return {"$ref": models_url(self.draft.api["id"], matched[1])}
        return {key: self._linked(value) for key, value in schema.items()}

    def model_of(self, schema: Any) -> str | None:
        """The name of the model that a schema refers to; one that stands there itself becomes a model of its own."""
        if not isinstance(schema, dict) or not schema:
            return None
        reference = schema.get("$ref")
        if isinstance(reference, str) and (matched := _SCHEMA.fullmatch(reference)):
            if matched[1] not in self.draft.models:
                raise errors.bad_request(f"Invalid model identifier specified: {matched[1]}")
            return matched[1]
        name = f"MODEL{self._new_id(6)}"
        self.model(name, schema)
        return name

    def _validators(self) -> None:
        for name, given in self.document.mapping(self.document.raw.get("x-amazon-apigateway-request-validators")).items():
            given = self.document.mapping(given)
            old = next((one["id"] for one in self.draft.validators.values() if one.get("name") == name), None)
            made: Doc = {"id": old or self._new_id(6), "name": name}
            for member in ("validateRequestBody", "validateRequestParameters"):
                made[member] = str(given.get(member, False)).lower() == "true"
            self.draft.validators[made["id"]] = made

    def _authorizers(self) -> None:
        for name, given in self.document.security_schemes.items():
            scheme = self.document.mapping(given)
            extension = self.document.mapping(scheme.get("x-amazon-apigateway-authorizer"))
            if extension:
                with self.problems.of(f"Unable to create authorizer '{name}'"):
                    self._authorizer(name, scheme, extension)

    def _authorizer(self, name: str, scheme: Doc, given: Doc) -> None:
        kind = str(given.get("type", "")).upper()
        made: Doc = {"name": name, "type": kind}
        for member in ("providerARNs", "authorizerUri", "authorizerCredentials", "identitySource", "identityValidationExpression"):
            if given.get(member):
                made[member] = given[member]
        made["authType"] = scheme.get("x-amazon-apigateway-authtype") or (
            "cognito_user_pools" if kind == "COGNITO_USER_POOLS" else "custom"
        )
        if kind in ("TOKEN", "COGNITO_USER_POOLS"):
            made.setdefault("identitySource", f"method.request.header.{scheme.get('name', 'Authorization')}")
        ttl = given.get("authorizerResultTtlInSeconds")
        if ttl is not None:
            if not str(ttl).isdigit():
                raise errors.bad_request("Authorizer result TTL must be between 0 and 3600 seconds")
            made["authorizerResultTtlInSeconds"] = int(ttl)
        check_authorizer(made)
        old = next((one["id"] for one in self.draft.authorizers.values() if one["name"] == name), None)
        if old is None and len(self.draft.authorizers) >= MAX_AUTHORIZERS:
            raise errors.limit_exceeded("Maximum number of authorizers for this API has been reached")
        made = {"id": old or self._new_id(6)} | made
        self.draft.authorizers[made["id"]] = made

    def _gateway_responses(self) -> None:
        for kind, given in self.document.mapping(self.document.raw.get("x-amazon-apigateway-gateway-responses")).items():
            given = self.document.mapping(given)
            with self.problems.of(f"Unable to put gateway response '{kind}'"):
                if kind not in TYPES:
                    raise errors.bad_request(f"Invalid gateway response type specified: {kind}. Valid options are {','.join(STATUSES)}")
                kept = {member: given[member] for member in ("responseParameters", "responseTemplates") if given.get(member)}
                if given.get("statusCode") is not None:
                    kept["statusCode"] = str(given["statusCode"])
                check_response(kept)
                self.draft.gateway_responses[kind] = kept

    def _prefix(self, base_path: str) -> str:
        """What of the definition's base path comes before its paths."""
        given = self.document.base_path
        if base_path == "prepend":
            return given
        if base_path == "split":
            _, _, rest = given[1:].partition("/")
            return f"/{rest}" if rest else ""
        return ""

    def _paths(self, prefix: str, known: dict[str, Doc]) -> None:
        methods = Methods(self)
        for path, given in self.document.mapping(self.document.raw.get("paths")).items():
            if not path.startswith("/"):
                continue
            item, whole = self.document.mapping(given), prefix + path
            try:
                resource = self._resource(whole, known)
            except ServiceError as error:
                self.problems.errors.append(f"Unable to create resource at path '{whole}': {error.message}")
                continue
            for verb in VERBS:
                if verb in item:
                    methods.read(resource, whole, "ANY" if verb == ANY_METHOD else verb.upper(), item, item[verb])

    def _resource(self, path: str, known: dict[str, Doc]) -> Doc:
        """The resource at a path, made with all that is above it; one that an API had there keeps its id."""
        draft = self.draft
        resource = draft.resources[draft.api["rootResourceId"]]
        for part in [part for part in path.split("/") if part]:
            found = next(
                (one for one in draft.resources.values() if one.get("parentId") == resource["id"] and one["pathPart"] == part), None
            )
            if found is None:
                if len(draft.resources) > MAX_RESOURCES:
                    raise errors.limit_exceeded("Maximum number of resources for this API has been reached.")
                found = {"id": "", "parentId": resource["id"], "pathPart": part}
                place = path_of(draft, found)
                found["id"] = known[place]["id"] if place in known else self._new_id(6)
                check_place(draft, found)
                draft.resources[found["id"]] = found | {"path": place}
                found = draft.resources[found["id"]]
            resource = found
        return resource

    def _documentation(self) -> None:
        given = self.document.mapping(self.document.raw.get("x-amazon-apigateway-documentation"))
        parts = given.get("documentationParts")
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict) and isinstance(part.get("location"), dict):
                self.part(part["location"], part.get("properties"))

    def part(self, location: Doc, properties: Any) -> str:
        """Puts a documentation part; the id of one at the same location stays. Its id."""
        kept = self.draft.documentation.setdefault("parts", {})
        old = next((one["id"] for one in kept.values() if one["location"] == location), None)
        part_id: str = old or self._new_id(6)
        text = properties if isinstance(properties, str) else orjson.dumps(properties or {}).decode()
        kept[part_id] = {"id": part_id, "location": location, "properties": text}
        return part_id
