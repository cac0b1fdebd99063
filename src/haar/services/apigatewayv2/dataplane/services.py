"""First-class service integrations: the request becomes one call of a service's API, as the integration's role; its answer is the answer.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-aws-services.html
"""

from typing import Any
from urllib.parse import quote, urlencode

import orjson

from haar.auth.principal import Principal
from haar.services.apigateway import public as rest
from haar.services.apigatewayv2.dataplane.answers import Refused, not_built
from haar.services.apigatewayv2.dataplane.call import Call, stage_text
from haar.services.apigatewayv2.dataplane.functions import translated
from haar.services.apigatewayv2.dataplane.mapping import ResponseMapping, Value, value_of
from haar.services.apigatewayv2.records import Doc
from haar.services.apigatewayv2.subtypes import REGION, SUBTYPES
from haar.services.service import Host, NoService, ServiceCall
from haar.wire.http import Request, Response

_DROPPED = frozenset(("connection", "content-length", "date", "keep-alive", "transfer-encoding"))


class Service:
    """One subtype of an integration, with its parameters read once."""

    def __init__(self, integration: Doc) -> None:
        self._subtype = SUBTYPES[integration["IntegrationSubtype"]]
        self._given: dict[str, str] = integration.get("RequestParameters", {})
        self._parameters: dict[str, Value] = {name: value_of(source) for name, source in self._given.items()}
        self._role = stage_text(integration["CredentialsArn"])
        self._seconds = integration["TimeoutInMillis"] / 1000
        self._response = ResponseMapping(integration.get("ResponseParameters", {}))

    async def __call__(self, call: Call) -> Response:
        values = {name: self._value(call, name) for name in self._parameters}
        region = values.pop(REGION, None) or call.stage.region
        try:
            principal = await rest.role_caller(call.host, self._role(call))
            response = await rest.within(self._seconds, self._ask(call, values, str(region), principal))
        except rest.Refused as refused:
            raise translated(refused) from None
        call.answered(response.status, response.headers)
        return self._response.apply(call, response)

    def _value(self, call: Call, name: str) -> Any:
        """The value of a parameter. Raises Refused (400) when the request has not what it is taken from."""
        text = self._parameters[name](call, None)
        try:
            if text is not None and name in self._subtype.structures:
                return orjson.loads(text)
            if text is not None and name in self._subtype.numbers:
                return int(text)
        except ValueError:
            text = None
        if text is None:
            why = (
                f"Unable to resolve property {name} from source {self._given[name]}. Please make sure that the request to API Gateway "
                "contains all the necessary fields specified in request parameters."
            )
            raise Refused(400, "Bad Request", why)
        return text

    async def _ask(self, call: Call, values: dict[str, Any], region: str, principal: Principal) -> Response:
        subtype = self._subtype
        request = _configuration(values) if subtype.endpoint == "appconfig" else _request(orjson.dumps(_body(subtype.action, values)))
        action = "" if subtype.endpoint == "appconfig" else subtype.action
        return await ask(
            call.host, ServiceCall(subtype.endpoint, request, principal, region, action), f"{subtype.service} ({subtype.action})"
        )


async def ask(host: Host, wanted: ServiceCall, name: str) -> Response:
    """A service's answer, whole. Raises Refused (501) when haar has no such service: nothing is made up."""
    try:
        answer = await rest.ask_service(host, wanted)
    except NoService:
        raise not_built(f"haar does not have {name}") from None
    return Response(answer.status, [pair for pair in answer.headers if pair[0].lower() not in _DROPPED], answer.body)


def _request(body: bytes) -> Request:
    pairs = [("Content-Type", "application/x-amz-json-1.1")]
    return Request("POST", "/", "", pairs, {"content-type": pairs[0][1]}, body, rest.SERVICE, True)


def _body(action: str, values: dict[str, Any]) -> Doc:
    """The operation's input: Step Functions' members begin with small letters, EventBridge's are an entry's."""
    if action == "PutEvents":
        return {"Entries": [values]}
    if action in ("StartExecution", "StartSyncExecution", "StopExecution"):
        return {name[0].lower() + name[1:]: value for name, value in values.items()}
    return values


def _configuration(values: dict[str, Any]) -> Request:
    """AppConfig is called by path."""
    parts = (("applications", "Application"), ("environments", "Environment"), ("configurations", "Configuration"))
    path = "".join(f"/{place}/{quote(str(values[name]), safe='')}" for place, name in parts)
    query = {"client_id": values["ClientId"]}
    if "ClientConfigurationVersion" in values:
        query["client_configuration_version"] = values["ClientConfigurationVersion"]
    return Request("GET", path, urlencode(query), [], {}, b"", rest.SERVICE, True)
