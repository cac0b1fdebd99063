"""Amazon API Gateway v2: HTTP APIs and WebSocket APIs, managed and served (`dataplane`, `websocket`)."""

from haar.services.apigateway.public import api_route
from haar.services.apigatewayv2 import (
    apis,
    authorizers,
    deployments,
    domains,
    integrations,
    models,
    moving,
    responses,
    routes,
    routingrules,
    stages,
    tags,
    vpclinks,
)
from haar.services.apigatewayv2.dataplane.route import HttpPlane
from haar.services.apigatewayv2.face import service

api_route.others.append(HttpPlane())

__all__ = [
    "apis",
    "authorizers",
    "deployments",
    "domains",
    "integrations",
    "models",
    "moving",
    "responses",
    "routes",
    "routingrules",
    "service",
    "stages",
    "tags",
    "vpclinks",
]
