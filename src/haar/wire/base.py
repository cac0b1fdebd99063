"""What all codecs share: lazily compiled operations, validation, and the choice of an error's code and status."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from haar.wire.common import common
from haar.wire.errors import CommonError, ServiceError
from haar.wire.http import Request, Response
from haar.wire.model import Model, Shape
from haar.wire.validation import Validator

Parse = Callable[[Request], dict[str, Any]]
Write = Callable[[Mapping[str, Any], str], Response]

_SERVER_FAULT = 500
_MESSAGE = frozenset({"message", "Message"})


@dataclass(frozen=True, slots=True)
class Fault:
    """An error, made out: what its protocol has to write."""

    code: str
    """As the client sees it."""
    status: int
    message: str | None
    key: str
    """The message's member in JSON bodies."""
    shape: Shape | None
    """The shape in the model; None for an error that is not modelled."""
    fields: Mapping[str, Any]

    @property
    def sender(self) -> bool:
        """Whether it is the caller's fault."""
        return self.status < _SERVER_FAULT


class BaseCodec(ABC):
    """One service's codec. A protocol adds how an operation is identified, read and written."""

    protocol: str
    """botocore's name of it."""

    def __init__(self, model: Model, opaque: frozenset[str]) -> None:
        self.model = model
        self.service = model.service
        self.target_prefix = str(model.metadata.get("targetPrefix", ""))
        self.api_version = str(model.metadata["apiVersion"])
        self.endpoint = str(model.metadata.get("endpointPrefix", model.service))
        self.operations = frozenset(model.operations)
        self.compatible = "awsQueryCompatible" in model.metadata
        """Whether it spoke the query protocol before and still names that one's error codes in a header."""
        self._validator = Validator(model, opaque)
        self._parsers: dict[str, Parse] = {}
        self._writers: dict[str, Write] = {}

    @abstractmethod
    def identify(self, request: Request) -> str:
        """The operation's name."""

    @abstractmethod
    def _parser(self, operation: str) -> Parse: ...

    @abstractmethod
    def _writer(self, operation: str) -> Write: ...

    @abstractmethod
    def _write_fault(self, fault: Fault, request_id: str) -> Response: ...

    def parse(self, operation: str, request: Request) -> dict[str, Any]:
        """See Codec.parse."""
        parser = self._parsers.get(operation)
        if parser is None:
            parser = self._parsers[operation] = self._parser(operation)
        try:
            return parser(request)
        except RecursionError as error:
            raise CommonError("Serialization", "The request is nested too deeply.") from error

    def validate(self, operation: str, input: Mapping[str, Any]) -> None:
        """See Codec.validate."""
        self._validator.check(operation, input)

    def serialise(self, operation: str, output: Mapping[str, Any], request_id: str) -> Response:
        """See Codec.serialise."""
        writer = self._writers.get(operation)
        if writer is None:
            writer = self._writers[operation] = self._writer(operation)
        return writer(output, request_id)

    def serialise_error(self, error: ServiceError, request_id: str, operation: str | None = None) -> Response:
        """See Codec.serialise_error."""
        return self._write_fault(self._fault(error), request_id)

    def _fault(self, error: ServiceError) -> Fault:
        code, status, message, key = error.code, error.status, error.message, "message"
        if isinstance(error, CommonError):
            named = common(self.service, self.protocol, code)
            code, key = named.code, named.key
            status = named.status if status is None else status
            message = named.message if message is None else message
        name = self.model.errors.get(code)
        if name is None:
            return Fault(code, 400 if status is None else status, message, key, None, error.fields)
        shape = self.model.shape(name)
        trait = shape.traits.get("error", {})
        if status is None:
            usual = _SERVER_FAULT if shape.traits.get("fault") or trait.get("senderFault") is False else 400
            # In the model of one that spoke query before, the statuses are still query's.
            status = usual if self.compatible else trait.get("httpStatusCode", usual)
        written = next((member.traits.get("locationName", one) for one, member in shape.members() if one in _MESSAGE), "message")
        return Fault(trait.get("code", name), status, message, written, shape, error.fields)
