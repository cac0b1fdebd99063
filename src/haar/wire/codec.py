"""The codec of one service: the way between HTTP and plain values, compiled from botocore's model of it."""

from collections.abc import Mapping
from typing import Any, Protocol

from haar.wire.errors import ServiceError
from haar.wire.http import Request, Response


class Codec(Protocol):
    """Parses, validates and serialises the operations of one service. Made by `haar.wire.load`; safe to share."""

    service: str
    """botocore's name of the service (`dynamodb`)."""
    operations: frozenset[str]
    """All operation names of the model."""
    protocol: str
    """`json`, `rest-json`, `query` or `rest-xml`."""
    target_prefix: str
    """Of X-Amz-Target in JSON services (`DynamoDB_20120810`); empty in others."""
    api_version: str
    """`2012-08-10`"""
    endpoint: str
    """The first part of the service's host name at AWS (`streams.dynamodb`)."""

    def identify(self, request: Request) -> str:
        """The operation that the request asks for. Raises CommonError("UnknownOperation") when the model has none such."""
        ...

    def parse(self, operation: str, request: Request) -> dict[str, Any]:
        """The operation's input by member name: blobs as bytes, timestamps as aware datetimes, streaming payloads as bytes.

        A member that was not sent is absent; a JSON null counts as not sent. Shapes named opaque stay as JSON has them.
        Raises CommonError("Serialization") for what is not of the shape.
        """
        ...

    def validate(self, operation: str, input: Mapping[str, Any]) -> None:
        """Checks required members and constraints. Raises CommonError("Validation") in AWS's words."""
        ...

    def serialise(self, operation: str, output: Mapping[str, Any], request_id: str) -> Response:
        """The response; `orjson.Fragment` values are spliced as they are (JSON protocols)."""
        ...

    def serialise_error(self, error: ServiceError, request_id: str, operation: str | None = None) -> Response: ...
