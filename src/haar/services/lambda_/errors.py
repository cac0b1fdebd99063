"""The errors of Lambda, in its words."""

from haar.wire.errors import CommonError, ServiceError


def invalid(message: str) -> ServiceError:
    return ServiceError("InvalidParameterValueException", message, Type="User")


def refused(what: str) -> ServiceError:
    """A setting of AWS's that haar cannot honour."""
    return invalid(f"haar does not have {what}.")


def no_bucket(what: str) -> ServiceError:
    """There is no S3, and so no bucket: AWS's words for that, and how it can be done."""
    return invalid(
        "Error occurred while GetObject. S3 Error Code: NoSuchBucket. S3 Error Message: The specified bucket does not exist "
        f"(haar does not have S3: send the {what} as ZipFile)"
    )


def constraint(value: object, member: str, rule: str) -> CommonError:
    return CommonError(
        "Validation", f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must {rule}"
    )


def not_found(message: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", message, Type="User")


def no_function(arn: str) -> ServiceError:
    return not_found(f"Function not found: {arn}")


def no_alias(arn: str) -> ServiceError:
    return not_found(f"Cannot find alias arn: {arn}")


def no_policy() -> ServiceError:
    return not_found("The resource you requested does not exist.")


def conflict(message: str) -> ServiceError:
    return ServiceError("ResourceConflictException", message, Type="User")


def wrong_revision(operations: str = "GetFunction/GetAlias") -> ServiceError:
    return ServiceError(
        "PreconditionFailedException",
        f"The Revision Id provided does not match the latest Revision Id. Call the {operations} API to retrieve the latest Revision Id",
        Type="User",
    )


def throttled(reason: str, after: int = 1) -> ServiceError:
    return ServiceError("TooManyRequestsException", "Rate Exceeded.", Reason=reason, Type="User", retryAfterSeconds=str(after))


def recursive() -> ServiceError:
    return ServiceError(
        "RecursiveInvocationException",
        "Lambda has detected your function being invoked in a recursive loop with other Amazon Web Services resources and stopped your "
        "function's invocation.",
        Type="User",
    )


def snap_start_failed() -> ServiceError:
    message = "The afterRestore() runtime hook encountered an error. For more information, check the Amazon CloudWatch logs."
    return ServiceError("SnapStartException", message, 400, Type="User")


def snap_start_timed_out() -> ServiceError:
    message = "Lambda couldn't restore the snapshot within the timeout limit."
    return ServiceError("SnapStartTimeoutException", message, 408, Type="User")


def unavailable(message: str) -> ServiceError:
    """Functions cannot run on this host."""
    return ServiceError("ServiceException", message, 500, Type="Service")


def role_not_assumable(code: str = "InvalidParameterValueException", status: int = 400) -> ServiceError:
    return ServiceError(code, "The role defined for the function cannot be assumed by Lambda.", status, Type="User")
