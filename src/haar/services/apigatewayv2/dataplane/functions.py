"""Lambda functions behind routes."""

import orjson

from haar.auth.principal import Principal
from haar.execution.contract import InvocationResult
from haar.services.apigateway import public as rest
from haar.services.apigatewayv2.dataplane.answers import Refused, failed, unavailable
from haar.services.apigatewayv2.dataplane.call import Call, stage_text
from haar.services.apigatewayv2.dataplane.events import event_v1, event_v2, response_of
from haar.services.apigatewayv2.dataplane.mapping import RequestMapping, ResponseMapping
from haar.services.apigatewayv2.integrations import function_of
from haar.services.apigatewayv2.records import Doc
from haar.services.lambda_ import public as lambda_
from haar.wire.http import Response

REFUSED_BY_LAMBDA = "Invalid permissions on Lambda function"
NO_PERMISSION = (
    "The IAM role configured on the integration or API Gateway doesn't have permissions to call the integration. "
    "Check the permissions and try again."
)


async def invoke(call: Call, arn: str, payload: bytes, *, source: str, role: str | None, seconds: float) -> InvocationResult:
    """A function's answer; `source` is where in the API it is asked for.

    Raises Refused when there is none in time, or when it may not be asked.
    """
    host, parts = call.host, arn.split(":")
    if len(parts) < 7 or parts[2] != "lambda":
        raise failed(f"Invalid lambda function: {arn}")
    try:
        caller: lambda_.Source | Principal = lambda_.Source(rest.SERVICE, call.stage.arn(source), call.stage.account)
        if role is not None:
            caller = await rest.role_caller(host, role)
        request_id = host.ids.uuid()
        if not source.startswith("authorizers/"):
            call.endpoint_request_id = request_id
        work = lambda_.invoke(host, arn, payload, caller=caller, request_id=request_id, region=parts[3])
        return await rest.within(seconds, work)
    except rest.Refused as refused:
        if not refused.why.endswith(REFUSED_BY_LAMBDA):
            raise translated(refused) from None
        call.service_status = None if source.startswith("authorizers/") else 403
        raise failed(NO_PERMISSION) from None


def failure(payload: bytes) -> Refused:
    """A function that raised, or did not come to its end."""
    message = rest.error_message(payload)
    return failed(f"The Lambda function returned the following error: {message}. Check your Lambda function code and try again.")


def translated(refused: rest.Refused) -> Refused:
    """What a REST API would refuse, in an HTTP API's words."""
    return unavailable(refused.why) if refused.kind == "INTEGRATION_TIMEOUT" else failed(refused.why or str(refused))


class Function:
    """AWS_PROXY: the request goes in whole, the response comes from the function."""

    def __init__(self, integration: Doc) -> None:
        uri = integration.get("IntegrationUri", "")
        self._arn = stage_text(function_of(uri) or uri)
        self._role = stage_text(integration["CredentialsArn"]) if integration.get("CredentialsArn") else None
        self._version = integration["PayloadFormatVersion"]
        self._seconds = integration["TimeoutInMillis"] / 1000
        self._request = RequestMapping(integration.get("RequestParameters", {}))
        self._response = ResponseMapping(integration.get("ResponseParameters", {}))

    async def __call__(self, call: Call) -> Response:
        event = event_v2(call) if self._version == "2.0" else event_v1(call)
        if self._request:
            self._request.into_event(call, event)
        assert call.endpoint is not None
        arn = self._arn(call)
        result = await invoke(
            call,
            function_of(arn) or arn,
            orjson.dumps(event),
            source=f"{call.stage.name}/{call.endpoint.source}",
            role=self._role(call) if self._role else None,
            seconds=self._seconds,
        )
        call.service_status = 200
        if result.error is not None:
            raise failure(result.payload)
        response = response_of(result.payload, self._version)
        call.integration_status = response.status
        return self._response.apply(call, response)
