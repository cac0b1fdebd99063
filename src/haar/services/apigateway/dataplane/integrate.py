"""Which integration answers a method."""

from haar.services.apigateway.dataplane.answers import misconfigured
from haar.services.apigateway.dataplane.call import Call
from haar.services.apigateway.dataplane.compile import Run
from haar.services.apigateway.dataplane.endpoints import Http, HttpProxy
from haar.services.apigateway.dataplane.functions import FUNCTION, STREAMED, LambdaCustom, LambdaProxy
from haar.services.apigateway.dataplane.mock import Mock
from haar.services.apigateway.dataplane.services import AwsService
from haar.services.apigateway.dataplane.streams import HttpStream, LambdaStream
from haar.services.apigateway.records import Doc, Draft
from haar.wire.http import Response


class NotBuilt:
    """An integration that API Gateway has and haar has not: it is said in the execution log, and nothing is made up."""

    def __init__(self, what: str) -> None:
        self._what = what

    async def __call__(self, call: Call) -> Response:
        raise misconfigured(f"haar does not have {self._what} integrations yet")


def compile_integration(method: Doc, draft: Draft) -> Run:
    """What runs the integration of a method."""
    integration = method["methodIntegration"]
    kind, uri = integration["type"], integration.get("uri", "")
    if kind == "MOCK":
        return Mock(integration)
    if kind == "HTTP":
        return Http(integration)
    if kind == "HTTP_PROXY":
        return HttpStream(integration) if integration.get("responseTransferMode") == "STREAM" else HttpProxy(integration)
    if kind == "AWS_PROXY" and STREAMED.fullmatch(uri):
        return LambdaStream(integration)
    if FUNCTION.fullmatch(uri):
        return LambdaProxy(integration) if kind == "AWS_PROXY" else LambdaCustom(integration)
    if kind == "AWS":
        return AwsService(integration)
    return NotBuilt(f"{kind} {uri}".strip())
