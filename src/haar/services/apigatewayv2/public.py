"""What other services may ask: `@connections` of WebSocket APIs, STS for the keys of token issuers."""

from haar.services.apigatewayv2.dataplane.issuers import Issuers
from haar.services.apigatewayv2.websocket.connections import Connections, Live
from haar.services.apigatewayv2.websocket.management import run

__all__ = ["Connections", "Issuers", "Live", "run"]
