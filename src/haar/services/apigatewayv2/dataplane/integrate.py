"""Which integration answers a route."""

from haar.services.apigatewayv2.dataplane.answers import not_built
from haar.services.apigatewayv2.dataplane.call import Call
from haar.services.apigatewayv2.dataplane.compile import Run
from haar.services.apigatewayv2.dataplane.endpoints import HttpProxy
from haar.services.apigatewayv2.dataplane.functions import Function
from haar.services.apigatewayv2.dataplane.services import Service
from haar.services.apigatewayv2.records import Doc
from haar.wire.http import Response


class NotBuilt:
    """An integration that API Gateway has and haar has not: nothing is made up."""

    def __init__(self, what: str) -> None:
        self._what = what

    async def __call__(self, call: Call) -> Response:
        raise not_built(f"haar does not have {self._what} integrations of HTTP APIs")


def compile_integration(integration: Doc) -> Run:
    """What runs an integration."""
    if integration["IntegrationType"] == "HTTP_PROXY":
        if integration["ConnectionType"] == "VPC_LINK":
            return NotBuilt("VPC_LINK")
        return HttpProxy(integration)
    if "IntegrationSubtype" in integration:
        return Service(integration)
    return Function(integration)
