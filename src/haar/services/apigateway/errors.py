"""API Gateway's errors, with AWS's own words."""

from haar.wire.errors import ServiceError


def not_found(message: str) -> ServiceError:
    return ServiceError("NotFoundException", message, 404)


def bad_request(message: str) -> ServiceError:
    return ServiceError("BadRequestException", message, 400)


def conflict(message: str) -> ServiceError:
    return ServiceError("ConflictException", message, 409)


def limit_exceeded(message: str) -> ServiceError:
    return ServiceError("LimitExceededException", message, 429)


def bad_mapping(expression: str, problem: str = "Invalid mapping expression specified") -> ServiceError:
    result = f"Validation Result: warnings : [], errors : [{problem}: {expression}]"
    return bad_request(f"Invalid mapping expression specified: {result}")


def no_api(account: str, api_id: str) -> ServiceError:
    return not_found(f"Invalid API identifier specified {account}:{api_id}")


def no_resource() -> ServiceError:
    return not_found("Invalid Resource identifier specified")


def no_method() -> ServiceError:
    return not_found("Invalid Method identifier specified")


def no_integration() -> ServiceError:
    return not_found("Invalid Integration identifier specified")


def no_response() -> ServiceError:
    return not_found("Invalid Response status code specified")


def no_stage() -> ServiceError:
    return not_found("Invalid stage identifier specified")


def no_deployment() -> ServiceError:
    return not_found("Invalid Deployment identifier specified")


def no_model(name: str) -> ServiceError:
    return not_found(f"Invalid model name specified: {name}")


def no_validator() -> ServiceError:
    return not_found("Invalid Request Validator identifier specified")


def no_authorizer() -> ServiceError:
    return not_found("Invalid Authorizer identifier specified")


def no_key() -> ServiceError:
    return not_found("Invalid API Key identifier specified")


def no_plan() -> ServiceError:
    return not_found("Invalid Usage Plan ID specified")
