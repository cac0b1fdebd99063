"""Amazon API Gateway: REST APIs, managed (`apigateway`) and served (`dataplane`)."""

from haar.services.apigateway import deployments, integrations, methods, models, resources, restapis, stages
from haar.services.apigateway.dataplane.route import ApiRoute
from haar.services.apigateway.face import service

service.routes.append(ApiRoute())

__all__ = ["deployments", "integrations", "methods", "models", "resources", "restapis", "service", "stages"]
