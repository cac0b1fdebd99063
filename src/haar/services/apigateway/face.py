"""The service object, apart from the operations that register themselves on it."""

from haar.services.service import Service

service = Service("apigateway")
