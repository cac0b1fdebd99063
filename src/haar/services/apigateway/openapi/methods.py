"""One operation of a definition: a method with its responses, its integration, and who may call it."""

from typing import TYPE_CHECKING, Any

import orjson

from haar.services.apigateway import errors
from haar.services.apigateway.integrations import MAX_TIMEOUT, check, check_answer
from haar.services.apigateway.methods import STATUS, check_method, check_method_response
from haar.services.apigateway.records import Doc
from haar.wire.errors import ServiceError

if TYPE_CHECKING:
    from haar.services.apigateway.openapi.reading import Reading

JSON = "application/json"
PLACES = {"query": "querystring", "header": "header", "path": "path"}
_COPIED = (
    "uri",
    "credentials",
    "connectionId",
    "cacheNamespace",
    "contentHandling",
    "tlsConfig",
    "responseTransferMode",
    "integrationTarget",
)


class Methods:
    """Reads operations into the resources of a draft."""

    def __init__(self, reading: "Reading") -> None:
        self._reading = reading
        self._document = reading.document
        self._problems = reading.problems

    def read(self, resource: Doc, path: str, verb: str, item: Doc, given: Any) -> None:
        operation = self._document.mapping(given)
        what = f"'{verb}' for resource at path '{path}'"
        method: Doc = {"httpMethod": verb, "authorizationType": "NONE", "apiKeyRequired": False}
        with self._problems.of(f"Unable to put method {what}"):
            if operation.get("operationId"):
                method["operationName"] = str(operation["operationId"])
            self._parameters(method, item, operation)
            self._security(method, operation)
            self._validator(method, operation)
            check_method(self._reading.draft, method)
            self._responses(method, operation)
        with self._problems.of(f"Unable to put integration on {what}"):
            integration = self._integration(resource, path, operation)
            if integration is not None:
                check(self._reading.account, self._reading.draft, integration, method)
                method["methodIntegration"] = integration
        if "methodIntegration" in method:
            with self._problems.of(f"Unable to put integration response on {what}"):
                self._answers(method, operation)
        resource.setdefault("resourceMethods", {})[verb] = method

    def _media(self, operation: Doc, member: str) -> list[str]:
        """Swagger's `consumes` and `produces`."""
        found = operation.get(member) or self._document.raw.get(member)
        return [str(one) for one in found] if isinstance(found, list) and found else [JSON]

    def _parameters(self, method: Doc, item: Doc, operation: Doc) -> None:
        parameters: dict[tuple[Any, Any], Doc] = {}
        for holder in (item, operation):
            listed = holder.get("parameters")
            for one in listed if isinstance(listed, list) else ():
                parameter = self._document.mapping(one)
                parameters[parameter.get("in"), parameter.get("name")] = parameter
        found: dict[str, bool] = {}
        models: dict[str, str] = {}
        for (place, name), parameter in parameters.items():
            if place in PLACES:
                required = place == "path" or parameter.get("required") is True
                found[f"method.request.{PLACES[place]}.{name}"] = required
            elif place == "body" and (model := self._reading.model_of(parameter.get("schema"))):
                models.update(dict.fromkeys(self._media(operation, "consumes"), model))
        if not self._document.swagger:
            content = self._document.mapping(self._document.mapping(operation.get("requestBody")).get("content"))
            for media, one in content.items():
                if model := self._reading.model_of(self._document.mapping(one).get("schema")):
                    models[media] = model
        if found:
            method["requestParameters"] = found
        if models:
            method["requestModels"] = models

    def _security(self, method: Doc, operation: Doc) -> None:
        given = operation.get("security")  # that of the whole definition is not for API Gateway
        for requirement in given if isinstance(given, list) else ():
            for name, scopes in requirement.items() if isinstance(requirement, dict) else ():
                self._requirement(method, name, scopes)
        own = self._document.mapping(operation.get("x-amazon-apigateway-auth") or self._document.raw.get("x-amazon-apigateway-auth"))
        if own.get("type"):
            method["authorizationType"] = str(own["type"]).upper()

    def _requirement(self, method: Doc, name: str, scopes: Any) -> None:
        scheme = self._document.mapping(self._document.security_schemes.get(name))
        authorizer = next((one for one in self._reading.draft.authorizers.values() if one["name"] == name), None)
        if authorizer is not None and (scheme.get("x-amazon-apigateway-authorizer") or not scheme):
            cognito = authorizer["type"] == "COGNITO_USER_POOLS"
            method["authorizationType"] = "COGNITO_USER_POOLS" if cognito else "CUSTOM"
            method["authorizerId"] = authorizer["id"]
            if isinstance(scopes, list) and scopes:
                method["authorizationScopes"] = [str(one) for one in scopes]
        elif str(scheme.get("x-amazon-apigateway-authtype", "")).lower() == "awssigv4":
            method["authorizationType"] = "AWS_IAM"
        elif scheme.get("type") == "apiKey" and scheme.get("in") == "header" and str(scheme.get("name", "")).lower() == "x-api-key":
            method["apiKeyRequired"] = True

    def _validator(self, method: Doc, operation: Doc) -> None:
        member = "x-amazon-apigateway-request-validator"
        name = operation.get(member, self._document.raw.get(member))
        if name is None:
            return
        found = next((one["id"] for one in self._reading.draft.validators.values() if one.get("name") == name), None)
        if found is None:
            raise errors.bad_request(f"Invalid Request Validator identifier specified: {name}")
        method["requestValidatorId"] = found

    def _responses(self, method: Doc, operation: Doc) -> None:
        for status, given in self._document.mapping(operation.get("responses")).items():
            if not STATUS.fullmatch(status):
                continue
            response: Doc = {"statusCode": status}
            answer = self._document.mapping(given)
            headers = self._document.mapping(answer.get("headers"))
            if headers:
                response["responseParameters"] = {f"method.response.header.{name}": False for name in headers}
            models = self._response_models(operation, answer, f"{status} response on method '{method['httpMethod']}'")
            if models:
                response["responseModels"] = models
            check_method_response(self._reading.draft, response)
            method.setdefault("methodResponses", {})[status] = response

    def _response_models(self, operation: Doc, answer: Doc, what: str) -> dict[str, str]:
        schemas: list[tuple[str, Any]] = []
        if self._document.swagger:
            schemas = [(media, answer.get("schema")) for media in self._media(operation, "produces")]
        else:
            content = self._document.mapping(answer.get("content"))
            schemas = [(media, self._document.mapping(one).get("schema")) for media, one in content.items()]
        models: dict[str, str] = {}
        made: dict[int, str | None] = {}
        for media, schema in schemas:
            try:
                if id(schema) not in made:
                    made[id(schema)] = self._reading.model_of(schema)
            except ServiceError as error:
                self._problems.warnings.append(f"Ignoring response model for {what}: {error.message}")
                made[id(schema)] = None
            if name := made[id(schema)]:
                models[media] = name
        return models

    def _integration(self, resource: Doc, path: str, operation: Doc) -> Doc | None:
        extension = operation.get("x-amazon-apigateway-integration")
        if extension is None:
            return None
        given = self._document.mapping(extension)
        kind = given.get("type")
        if not isinstance(kind, str) or any(isinstance(given.get(member), dict | list) for member in ("uri", "credentials")):
            raise errors.bad_request(f"Unable to parse API definition because of a malformed integration at path {path}.")
        made: Doc = {
            "type": kind.upper(),
            "passthroughBehavior": str(given.get("passthroughBehavior", "WHEN_NO_MATCH")).upper(),
            "timeoutInMillis": _whole(given.get("timeoutInMillis"), MAX_TIMEOUT),
            "cacheNamespace": resource["id"],
            "cacheKeyParameters": [str(one) for one in given.get("cacheKeyParameters") or ()],
        }
        if given.get("httpMethod") and made["type"] != "MOCK":
            verb = str(given["httpMethod"]).upper()
            made["httpMethod"] = "ANY" if verb == "X-AMAZON-APIGATEWAY-ANY-METHOD" else verb
        for member in _COPIED:
            if given.get(member):
                made[member] = given[member]
        if given.get("requestParameters"):
            made["requestParameters"] = {name: str(value) for name, value in self._document.mapping(given["requestParameters"]).items()}
        if given.get("requestTemplates"):
            made["requestTemplates"] = _texts(self._document.mapping(given["requestTemplates"]))
        if made["type"] in ("HTTP", "HTTP_PROXY") or given.get("connectionType"):
            made["connectionType"] = str(given.get("connectionType") or "INTERNET").upper()
        return made

    def _answers(self, method: Doc, operation: Doc) -> None:
        given = self._document.mapping(operation["x-amazon-apigateway-integration"])
        for pattern, one in self._document.mapping(given.get("responses")).items():
            one = self._document.mapping(one)
            status = str(one.get("statusCode", ""))
            if not STATUS.fullmatch(status):
                raise errors.bad_request("Invalid status code specified. Status code must be a 3 digit number between 100 and 599")
            answer: Doc = {"statusCode": status}
            if pattern != "default":
                answer["selectionPattern"] = pattern
            if one.get("responseParameters"):
                answer["responseParameters"] = {name: str(value) for name, value in one["responseParameters"].items()}
            if one.get("responseTemplates"):
                answer["responseTemplates"] = _texts(one["responseTemplates"])
            if one.get("contentHandling"):
                answer["contentHandling"] = one["contentHandling"]
            check_answer(answer, method)
            method["methodIntegration"].setdefault("integrationResponses", {})[status] = answer


def _whole(value: Any, otherwise: int) -> int:
    return int(value) if isinstance(value, int | float) or str(value or "").isdigit() else otherwise


def _texts(templates: Doc) -> dict[str, str]:
    """Templates, of which one may have been written as JSON instead of as a text of it."""
    return {
        name: value if isinstance(value, str) else orjson.dumps(value).decode() if value is not None else ""
        for name, value in templates.items()
    }
