"""The service object, apart from the operations that register themselves on it."""

from haar.services.service import Service

service = Service("apigatewayv2", signing_name="apigateway", prefix="apigateway")
