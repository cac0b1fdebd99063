"""IAM's errors, in its words. Codes are the wire's; the statuses are the service model's."""

from collections.abc import Mapping
from typing import Any

from haar.wire.errors import ServiceError

NOT_FOUND = 404
CONFLICT = 409
BAD_REQUEST = 400


def no_such_entity(message: str) -> ServiceError:
    return ServiceError("NoSuchEntity", message, NOT_FOUND)


def not_found(noun: str, name: str) -> ServiceError:
    """`noun` is `user`, `group`, `role`, `user policy`, …"""
    return no_such_entity(f"The {noun} with name {name} cannot be found.")


def key_not_found(key_id: str) -> ServiceError:
    return no_such_entity(f"The Access Key with id {key_id} cannot be found")


def policy_not_found(arn: str) -> ServiceError:
    return no_such_entity(f"Policy {arn} was not found.")


def policy_not_attachable(arn: str) -> ServiceError:
    return no_such_entity(f"Policy {arn} does not exist or is not attachable.")


def boundary_not_attachable(arn: str) -> ServiceError:
    return no_such_entity(f"Scope ARN: {arn} does not exist or is not attachable.")


def version_not_found(arn: str, version: str) -> ServiceError:
    return no_such_entity(f"Policy {arn} version {version} does not exist or is not attachable.")


def already_exists(message: str) -> ServiceError:
    return ServiceError("EntityAlreadyExists", message, CONFLICT)


def delete_conflict(message: str) -> ServiceError:
    return ServiceError("DeleteConflict", message, CONFLICT)


def limit_exceeded(message: str) -> ServiceError:
    return ServiceError("LimitExceeded", message, CONFLICT)


def quota(name: str, limit: int) -> ServiceError:
    return limit_exceeded(f"Cannot exceed quota for {name}: {limit}")


def malformed(message: str) -> ServiceError:
    return ServiceError("MalformedPolicyDocument", message, BAD_REQUEST)


def invalid_input(message: str) -> ServiceError:
    return ServiceError("InvalidInput", message, BAD_REQUEST)


def invalid_arn(arn: str) -> ServiceError:
    return invalid_input(f"ARN {arn} is not valid.")


def validation(message: str) -> ServiceError:
    return ServiceError("ValidationError", message, BAD_REQUEST)


def unmodifiable(message: str) -> ServiceError:
    """A role that only the service it is linked to may change."""
    return ServiceError("UnmodifiableEntity", message, BAD_REQUEST)


def unchangeable_aws_policy(arn: str) -> ServiceError:
    return ServiceError("AccessDenied", f"Cannot modify the AWS managed policy {arn}.", 403)


def unmodifiable_now(message: str) -> ServiceError:
    return ServiceError("EntityTemporarilyUnmodifiable", message, CONFLICT)


def refuse_unbuilt(input: Mapping[str, Any], *names: str) -> None:
    """Raises InvalidInput for parameters that haar does not have: none is passed over in silence."""
    for name in names:
        if input.get(name):
            raise invalid_input(f"haar does not have the parameter {name}.")


def user_name_needed() -> ServiceError:
    return validation("Must specify userName when calling with non-User credentials")


def invalid_user_type(message: str) -> ServiceError:
    return ServiceError("InvalidUserType", message, BAD_REQUEST)
