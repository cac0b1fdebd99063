"""From an API to a definition, OpenAPI 3.0.1 or Swagger 2, with as many of API Gateway's extensions as are wanted. Pure."""

import re
from collections.abc import Set
from typing import Any

import orjson

from haar.services.apigateway.dataplane.authorizers import DEFAULT_TTL
from haar.services.apigateway.integrations import MAX_TIMEOUT
from haar.services.apigateway.openapi.document import EXTENSIONS
from haar.services.apigateway.records import Doc, Draft

ANY_METHOD = "x-amazon-apigateway-any-method"
PLACES = {"querystring": "query", "header": "header", "path": "path"}
_MODEL = re.compile(r"https://apigateway\.amazonaws\.com/restapis/[^/]+/models/([^/]+)")
_PATH_PARAMETER = re.compile(r"\{([^{}+]+)\+?\}")


class Writing:
    """Writes one API."""

    def __init__(self, draft: Draft, swagger: bool, extensions: Set[str]) -> None:
        self._draft = draft
        self._swagger = swagger
        self._integrations = bool(extensions & {"integrations", "apigateway"})
        self._authorizers = bool(extensions & {"authorizers", "apigateway"})
        self._gateway = "apigateway" in extensions
        self._documentation = "documentation" in extensions
        self._models: dict[str, None] = {}
        self._schemes: dict[str, Doc] = {}

    def whole(self, region: str, stage: str, version: str) -> Doc:
        """The definition of the API as it is in a stage."""
        api = self._draft.api
        info: Doc = {"title": api["name"]}
        if api.get("description"):
            info["description"] = api["description"]
        info["version"] = version
        host = f"{api['id']}.execute-api.{region}.amazonaws.com"
        paths = {
            resource["path"]: self._path(resource)
            for resource in sorted(self._draft.resources.values(), key=lambda one: str(one["path"]))
            if resource.get("resourceMethods")
        }
        definition: Doc
        if self._swagger:
            definition = {"swagger": "2.0", "info": info, "host": host, "basePath": f"/{stage}", "schemes": ["https"], "paths": paths}
            self._put(definition, "securityDefinitions", self._schemes)
            self._put(definition, "definitions", self._schemas())
        else:
            server = {"url": f"https://{host}/{{basePath}}", "variables": {"basePath": {"default": stage}}}
            definition = {"openapi": "3.0.1", "info": info, "servers": [server], "paths": paths}
            components: Doc = {}
            self._put(components, "schemas", self._schemas())
            self._put(components, "securitySchemes", self._schemes)
            definition["components"] = components
        return definition | self._settings()

    def _settings(self) -> Doc:
        """The extensions that concern the whole API."""
        api, found = self._draft.api, {}
        if self._gateway:
            if api.get("policy"):
                found["x-amazon-apigateway-policy"] = orjson.loads(api["policy"])
            if api.get("apiKeySource") == "AUTHORIZER":
                found["x-amazon-apigateway-api-key-source"] = "AUTHORIZER"
            if "minimumCompressionSize" in api:
                found["x-amazon-apigateway-minimum-compression-size"] = api["minimumCompressionSize"]
            for member, extension in EXTENSIONS.items():
                if member in api:
                    found[extension] = api[member]
            if self._draft.gateway_responses:
                found["x-amazon-apigateway-gateway-responses"] = self._draft.gateway_responses
            if self._draft.validators:
                found["x-amazon-apigateway-request-validators"] = {
                    one.get("name", one["id"]): {
                        member: one[member] for member in ("validateRequestParameters", "validateRequestBody") if member in one
                    }
                    for one in self._draft.validators.values()
                }
            if api.get("binaryMediaTypes"):
                found["x-amazon-apigateway-binary-media-types"] = api["binaryMediaTypes"]
        parts = self._draft.documentation.get("parts", {})
        if self._documentation and parts:
            listed = [{"location": one["location"], "properties": orjson.loads(one["properties"])} for one in parts.values()]
            found["x-amazon-apigateway-documentation"] = {"documentationParts": listed}
        return found

    def _put(self, holder: Doc, member: str, value: Any) -> None:
        if value:
            holder[member] = value

    def _path(self, resource: Doc) -> Doc:
        return {
            ANY_METHOD if verb == "ANY" else verb.lower(): self._operation(resource, method)
            for verb, method in resource["resourceMethods"].items()
        }

    def _operation(self, resource: Doc, method: Doc) -> Doc:
        operation: Doc = {}
        self._put(operation, "operationId", method.get("operationName"))
        integration = method.get("methodIntegration", {})
        models = method.get("requestModels", {})
        if self._swagger:
            consumes = {**dict.fromkeys(models), **dict.fromkeys(integration.get("requestTemplates", {}))}
            self._put(operation, "consumes", list(consumes))
            self._put(operation, "produces", self._produces(method, integration))
        parameters = self._parameters(resource, method)
        if self._swagger and models:
            name = next(iter(models.values()))
            parameters.append({"in": "body", "name": name, "required": True, "schema": self._reference(name)})
        self._put(operation, "parameters", parameters)
        if not self._swagger and models:
            content = {media: {"schema": self._reference(name)} for media, name in models.items()}
            operation["requestBody"] = {"content": content, "required": True}
        responses = {status: self._response(response) for status, response in sorted(method.get("methodResponses", {}).items())}
        if responses or self._swagger:
            operation["responses"] = responses
        self._put(operation, "security", self._security(method))
        validator = self._draft.validators.get(method.get("requestValidatorId", ""))
        if validator is not None and self._gateway:
            operation["x-amazon-apigateway-request-validator"] = validator.get("name", validator["id"])
        if integration and self._integrations:
            operation["x-amazon-apigateway-integration"] = self._integration(integration)
        return operation

    def _produces(self, method: Doc, integration: Doc) -> list[str]:
        found: dict[str, None] = {}
        for response in method.get("methodResponses", {}).values():
            found |= dict.fromkeys(response.get("responseModels", {}))
        if not found:
            for answer in integration.get("integrationResponses", {}).values():
                found |= dict.fromkeys(answer.get("responseTemplates", {}))
        return list(found)

    def _parameters(self, resource: Doc, method: Doc) -> list[Doc]:
        given: dict[tuple[str, str], bool] = {("path", name): True for name in _PATH_PARAMETER.findall(resource["path"])}
        for expression, required in method.get("requestParameters", {}).items():
            place, name = expression.removeprefix("method.request.").split(".", 1)
            given[PLACES.get(place.removeprefix("multivalue"), "query"), name] = bool(required) or place == "path"
        made = []
        for (place, name), required in given.items():
            parameter: Doc = {"name": name, "in": place}
            if self._swagger:
                parameter |= {"required": required, "type": "string"}
            else:
                if required:
                    parameter["required"] = True
                parameter["schema"] = {"type": "string"}
            made.append(parameter)
        return made

    def _reference(self, name: str) -> Doc:
        self._models.setdefault(name)
        return {"$ref": f"#/definitions/{name}" if self._swagger else f"#/components/schemas/{name}"}

    def _response(self, response: Doc) -> Doc:
        made: Doc = {"description": f"{response['statusCode']} response"}
        names = [name.removeprefix("method.response.header.") for name in response.get("responseParameters", {})]
        typed: Doc = {"type": "string"} if self._swagger else {"schema": {"type": "string"}}
        models = response.get("responseModels", {})
        if self._swagger and models:
            made["schema"] = self._reference(next(iter(models.values())))
        if names:
            made["headers"] = {name: dict(typed) for name in names}
        if not self._swagger:
            made["content"] = {media: {"schema": self._reference(name)} for media, name in models.items()}
        return made

    def _security(self, method: Doc) -> list[Doc]:
        found: list[Doc] = []
        authorizer = self._draft.authorizers.get(method.get("authorizerId", ""))
        if method["authorizationType"] == "AWS_IAM":
            self._schemes["sigv4"] = _scheme("Authorization") | {"x-amazon-apigateway-authtype": "awsSigv4"}
            found.append({"sigv4": []})
        elif authorizer is not None:
            self._schemes[authorizer["name"]] = self._authorizer(authorizer)
            found.append({authorizer["name"]: method.get("authorizationScopes", [])})
        if method.get("apiKeyRequired"):
            self._schemes["api_key"] = _scheme("x-api-key")
            found.append({"api_key": []})
        return found

    def _authorizer(self, authorizer: Doc) -> Doc:
        source = authorizer.get("identitySource", "")
        header = source.removeprefix("method.request.header.") if source.startswith("method.request.header.") else ""
        whole = _scheme(header if header and "," not in header else "Unused")
        whole["x-amazon-apigateway-authtype"] = authorizer.get("authType", "custom")
        if self._authorizers:
            members = ("authorizerUri", "authorizerCredentials", "identityValidationExpression", "providerARNs")
            given = {member: authorizer[member] for member in members if authorizer.get(member)}
            if authorizer["type"] == "REQUEST" and source:
                given["identitySource"] = source
            if authorizer["type"] != "COGNITO_USER_POOLS":
                given["authorizerResultTtlInSeconds"] = authorizer.get("authorizerResultTtlInSeconds", DEFAULT_TTL)
            whole["x-amazon-apigateway-authorizer"] = given | {"type": authorizer["type"].lower()}
        return whole

    def _integration(self, integration: Doc) -> Doc:
        made: Doc = {"type": integration["type"].lower()}
        for member in ("credentials", "httpMethod", "uri"):
            self._put(made, member, integration.get(member))
        answers = {}
        for _, answer in sorted(integration.get("integrationResponses", {}).items()):
            members = ("statusCode", "responseParameters", "responseTemplates", "contentHandling")
            answers[answer.get("selectionPattern") or "default"] = {
                member: _texts(answer[member]) for member in members if answer.get(member)
            }
        self._put(made, "responses", answers)
        for member in ("requestParameters", "requestTemplates", "contentHandling", "tlsConfig", "responseTransferMode"):
            self._put(made, member, _texts(integration.get(member)))
        made["passthroughBehavior"] = integration["passthroughBehavior"].lower()
        if integration["timeoutInMillis"] != MAX_TIMEOUT:
            made["timeoutInMillis"] = integration["timeoutInMillis"]
        if integration.get("connectionType", "INTERNET") != "INTERNET":
            made |= {member: integration[member] for member in ("connectionType", "connectionId") if member in integration}
        if integration.get("cacheKeyParameters"):
            made |= {member: integration[member] for member in ("cacheNamespace", "cacheKeyParameters")}
        return made

    def _schemas(self) -> Doc:
        """The models that are used, and those that they use."""
        found: Doc = {}
        waiting = list(self._models)
        while waiting:
            name = waiting.pop(0)
            model = self._draft.models.get(name)
            if name in found or model is None:
                continue
            used: list[str] = []
            try:
                schema = orjson.loads(model["schema"])
            except orjson.JSONDecodeError:
                continue
            found[name] = self._linked(schema, used)
            waiting.extend(used)
        return found

    def _linked(self, schema: Any, used: list[str]) -> Any:
        if isinstance(schema, list):
            return [self._linked(one, used) for one in schema]
        if not isinstance(schema, dict):
            return schema
        reference = schema.get("$ref")
        if isinstance(reference, str) and (matched := _MODEL.fullmatch(reference)):
            used.append(matched[1])
            return self._reference(matched[1])
        return {key: self._linked(value, used) for key, value in schema.items() if key != "$schema"}


def _texts(value: Any) -> Any:
    """Templates with texts for those that are null."""
    return {name: "" if one is None else one for name, one in value.items()} if isinstance(value, dict) else value


def _scheme(name: str) -> Doc:
    return {"type": "apiKey", "name": name, "in": "header"}
