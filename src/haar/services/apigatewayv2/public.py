"""What the service of `@connections` may ask of WebSocket APIs."""

from haar.services.apigatewayv2.websocket.connections import Connections, Live
from haar.services.apigatewayv2.websocket.management import run

__all__ = ["Connections", "Live", "run"]
