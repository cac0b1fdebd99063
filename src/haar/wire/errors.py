"""The one exception that becomes an AWS error response."""

from collections.abc import Mapping
from typing import Any


class ServiceError(Exception):
    """An error of a service, as AWS answers it.

    `code` is the error's code or the name of its shape in the service's model (`ResourceNotFoundException`); its status
    comes from the model when it is modelled there and `status` is None, else from `status` (400 by default).
    `fields` are further members of the error's shape (`Item`, `CancellationReasons`, `Type`).
    """

    def __init__(self, code: str, message: str | None, status: int | None = None, **fields: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields: Mapping[str, Any] = fields


class CommonError(ServiceError):
    """An error that every service can answer, under a code and a status that depend on its protocol.

    `code` is one of the names in `haar.wire.common` (`AccessDenied`, `MissingAuthenticationToken`, `SignatureDoesNotMatch`,
    `UnrecognizedClient`, `ExpiredToken`, `IncompleteSignature`, `RequestExpired`, `UnknownOperation`, `Serialization`,
    `Validation`, `InternalFailure`, `Throttling`, `RequestTooLarge`): the codec turns it into the service's own
    (`AccessDenied` is AccessDeniedException with 400 in JSON services, AccessDeniedException with 403 in REST ones,
    AccessDenied with 403 in query ones).
    """
