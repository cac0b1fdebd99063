"""Amazon API Gateway: REST APIs, managed (`apigateway`) and served (`dataplane`)."""

from haar.services.apigateway import (
    account,
    apikeys,
    associations,
    authorizers,
    clientcertificates,
    deployments,
    documentation,
    domains,
    exporting,
    gatewayresponses,
    importing,
    integrations,
    keyfiles,
    methods,
    models,
    resources,
    restapis,
    sdks,
    stages,
    tags,
    testing,
    usage,
    usageplans,
    vpclinks,
)
from haar.services.apigateway.dataplane.domains import DomainRoute
from haar.services.apigateway.dataplane.logs import write_logs
from haar.services.apigateway.dataplane.route import api_route
from haar.services.apigateway.dataplane.usage import save_usage
from haar.services.apigateway.face import service

service.routes.extend((api_route, DomainRoute()))
service.background.extend((save_usage, write_logs))

__all__ = [
    "account",
    "apikeys",
    "associations",
    "authorizers",
    "clientcertificates",
    "deployments",
    "documentation",
    "domains",
    "exporting",
    "gatewayresponses",
    "importing",
    "integrations",
    "keyfiles",
    "methods",
    "models",
    "resources",
    "restapis",
    "sdks",
    "service",
    "stages",
    "tags",
    "testing",
    "usage",
    "usageplans",
    "vpclinks",
]
