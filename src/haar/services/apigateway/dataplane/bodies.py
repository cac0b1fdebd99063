"""Request bodies against the models of an API (JSON schema, draft 4)."""

import re
from collections.abc import Callable
from typing import Any

import jsonschema_rs
import orjson

from haar.services.apigateway.dataplane.answers import bad_body, misconfigured
from haar.services.apigateway.dataplane.call import Call
from haar.services.apigateway.dataplane.complaints import complain
from haar.services.apigateway.records import Doc, Draft

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_URI = re.compile(r"(?:[^\s%<>\"{}|\\^`]|%[0-9a-fA-F]{2})*")


def _anything(_: str) -> bool:
    return True


FORMATS: dict[str, Callable[[str], bool]] = {
    **dict.fromkeys(("date", "time", "idn-email"), _anything),
    "uri": lambda value: _URI.fullmatch(value) is not None,
    "uuid": lambda value: _UUID.fullmatch(value) is not None,
}
"""Where AWS's validator differs from ours: it does not know some formats, takes relative URIs, and checks UUIDs."""


def schema_validator(schema: str, models: dict[str, Doc]) -> "jsonschema_rs.Draft4Validator":
    """The validator of a model; `$ref` reaches the API's other models and nothing else. Raises ValueError for what is no schema."""

    def retrieve(uri: str) -> Any:
        model = models.get(uri.rpartition("/")[2]) if "/models/" in uri else None
        if model is None:
            raise ValueError(f"there is no model {uri}")
        return orjson.loads(model["schema"])

    try:
        return jsonschema_rs.Draft4Validator(orjson.loads(schema), retriever=retrieve, formats=FORMATS)
    except jsonschema_rs.ValidationError as error:
        raise ValueError(error.message) from None


ANY_TYPE = "$default"
"""The content type of a model that is for all others."""


class Bodies:
    """The models of a method's request, by content type."""

    def __init__(self, method: Doc, draft: Draft) -> None:
        self._validators: dict[str, jsonschema_rs.Draft4Validator | None] = {}
        for content_type, name in method.get("requestModels", {}).items():
            model = draft.models.get(name)
            try:
                validator = schema_validator(model["schema"], draft.models) if model else None
            except ValueError:
                validator = None
            self._validators[content_type.lower()] = validator

    def check(self, call: Call) -> None:
        """Raises Refused (400) unless the body is what the model for its content type says."""
        given = call.request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if given not in self._validators and ANY_TYPE not in self._validators:
            return
        validator = self._validators.get(given, self._validators.get(ANY_TYPE))
        if validator is None:
            raise misconfigured("Invalid model schema")
        try:
            document = orjson.loads(call.request.body or b"{}")
            complaints = [] if validator.is_valid(document) else complain(validator.iter_errors(document), document)
        except orjson.JSONDecodeError:
            complaints = ["Unknown error parsing request body"]
        if complaints:
            found = f"[{', '.join(complaints)}]"
            raise bad_body(f"Request body does not match model schema for content type {given}: {found}", found)
