"""DynamoDB's errors, with the messages that AWS gives them."""

from typing import TYPE_CHECKING, Any

from haar.wire.errors import CommonError, ServiceError

if TYPE_CHECKING:
    from haar.services.service import Context

CONFLICT = "Transaction is ongoing for the item"


def validation(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)


INVALID = "One or more parameter values were invalid: "


def invalid(message: str) -> ServiceError:
    """A value that breaks a rule of the data model."""
    return ServiceError("ValidationException", INVALID + message)


def nameless() -> ServiceError:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-naming-rules"""
    return in_our_words(INVALID + "An attribute name must have at least one character")


def in_our_words(message: str) -> ServiceError:
    """What AWS refuses, too; how it says so is not known."""
    return validation(message)


def serialization(message: str) -> ServiceError:
    return CommonError("Serialization", message)


def table_not_found(name: str) -> ServiceError:
    """As the control plane says it."""
    return ServiceError("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found")


def resource_not_found() -> ServiceError:
    """As the data plane says it."""
    return ServiceError("ResourceNotFoundException", "Requested resource not found")


def arn_not_found(arn: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", f"Requested resource not found: ResourcArn: {arn} not found")


def in_use(message: str) -> ServiceError:
    return ServiceError("ResourceInUseException", message)


def being(changed: str, table: str) -> ServiceError:
    """`changed` is created or updated."""
    return in_use(f"Attempt to change a resource which is still in use: Table is being {changed}: {table}")


def table_exists(name: str) -> ServiceError:
    return in_use(f"Table already exists: {name}")


def limit_exceeded(message: str) -> ServiceError:
    return ServiceError("LimitExceededException", message)


def condition_failed(item: Any = None) -> ServiceError:
    fields = {} if item is None else {"Item": item}
    return ServiceError("ConditionalCheckFailedException", "The conditional request failed", **fields)


def conflict() -> ServiceError:
    """A write of one item that transactions kept from committing."""
    return ServiceError("TransactionConflictException", CONFLICT)


def collection_too_large() -> ServiceError:
    return ServiceError("ItemCollectionSizeLimitExceededException", "Collection size exceeded.")


def duplicate_item() -> ServiceError:
    """As PartiQL's INSERT says it."""
    return ServiceError("DuplicateItemException", "Duplicate primary key exists in table")


KEY_MISMATCH = "The provided key element does not match the schema"


def key_mismatch() -> ServiceError:
    return validation(KEY_MISMATCH)


def access_denied(message: str) -> ServiceError:
    return ServiceError("AccessDeniedException", message)


def foreign(ctx: "Context", arn: str) -> ServiceError:
    """Another account's resource, whether there is one or not."""
    action = f"dynamodb:{ctx.operation}"
    return access_denied(
        f"User: {ctx.principal.arn} is not authorized to perform: {action} on resource: {arn} "
        f"because no resource-based policy allows the {action} action"
    )


def no_table(name: str) -> ServiceError:
    """As the operations on backups say it."""
    return ServiceError("TableNotFoundException", f"Table not found: {name}")


def backup_not_found(arn: str) -> ServiceError:
    return ServiceError("BackupNotFoundException", f"Backup not found: {arn}")


def backup_in_use(message: str) -> ServiceError:
    return ServiceError("BackupInUseException", message)
