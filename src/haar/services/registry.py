"""The services of this platform, in one list."""

from importlib import import_module

from haar.services.service import Service

PACKAGES = (
    "apigateway",
    "apigatewaymanagementapi",
    "apigatewayv2",
    "cloudwatch",
    "dynamodb",
    "dynamodbstreams",
    "iam",
    "lambda_",
    "logs",
    "sts",
)


def services() -> list[Service]:
    """Every service. Importing them takes a moment: called once, by the platform (and by the generator of compatibility.md)."""
    return [import_module(f"haar.services.{package}").service for package in PACKAGES]
