"""The services of this platform, in one list."""

from haar.services.service import Service


def services() -> list[Service]:
    """Every service. Importing them takes a moment: called once, by the platform (and by the generator of compatibility.md)."""
    from haar.services.apigateway import service as apigateway
    from haar.services.dynamodb import service as dynamodb
    from haar.services.iam import service as iam
    from haar.services.lambda_ import service as lambda_
    from haar.services.logs import service as logs
    from haar.services.sts import service as sts

    return [apigateway, dynamodb, iam, lambda_, logs, sts]
