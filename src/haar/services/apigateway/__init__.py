"""Amazon API Gateway: REST APIs, managed (`apigateway`) and served (`dataplane`)."""

from haar.services.apigateway import (
    account,
    apikeys,
    authorizers,
    deployments,
    gatewayresponses,
    integrations,
    methods,
    models,
    resources,
    restapis,
    stages,
    tags,
    testing,
    usageplans,
)
from haar.services.apigateway.dataplane.route import ApiRoute
from haar.services.apigateway.face import service

service.routes.append(ApiRoute())

__all__ = [
    "account",
    "apikeys",
    "authorizers",
    "deployments",
    "gatewayresponses",
    "integrations",
    "methods",
    "models",
    "resources",
    "restapis",
    "service",
    "stages",
    "tags",
    "testing",
    "usageplans",
]
