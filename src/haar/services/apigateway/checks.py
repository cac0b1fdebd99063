"""What API Gateway checks of an input before anything else: the model's constraints, of which it says where they are broken its own way.

What stands in a request's body is in a structure of its own there: `putMethodInput.authorizationType`, but `httpMethod`.
"""

import copy
from functools import cache
from typing import Any

from haar.services.service import Input
from haar.wire.model import Model, read
from haar.wire.validation import Validator

ORDERS = {"IntegrationType": ("HTTP", "MOCK", "AWS_PROXY", "HTTP_PROXY", "AWS")}
"""Values in the order in which AWS names them, where that is not the model's."""


class _Told:
    """The model's inputs with the members of their bodies one level down."""

    def __init__(self, model: Model) -> None:
        self.bodies: dict[str, frozenset[str]] = {}
        """By operation: the members that its body has."""
        shapes: dict[str, Any] = {**model.shapes} | {name: {**model.shapes[name], "enum": list(order)} for name, order in ORDERS.items()}
        for operation, described in model.operations.items():
            name = described.get("input", {}).get("shape")
            if name is not None:
                self.bodies[operation] = self._lower(shapes, name, f"{operation}Input")
        told = copy.copy(model)
        told.shapes = shapes
        self.validator = Validator(told, frozenset())

    @staticmethod
    def _lower(shapes: dict[str, Any], name: str, body: str) -> frozenset[str]:
        shape = shapes[name]
        lower = {
            member: one for member, one in shape.get("members", {}).items() if "location" not in one and member != shape.get("payload")
        }
        if lower:
            required = shape.get("required", [])
            upper = {member: one for member, one in shape["members"].items() if member not in lower}
            shapes[body] = {"type": "structure", "members": lower, "required": [one for one in required if one in lower]}
            members = {**upper, body: {"shape": body}}
            shapes[name] = shape | {"members": members, "required": [one for one in required if one in upper] + [body]}
        return frozenset(lower)

    def check(self, operation: str, input: Input) -> None:
        inside = self.bodies.get(operation)
        if inside:
            lower = {member: value for member, value in input.items() if member in inside}
            input = {member: value for member, value in input.items() if member not in inside} | {f"{operation}Input": lower}
        self.validator.check(operation, input)


@cache
def _told() -> _Told:
    return _Told(read("apigateway"))


def check(operation: str, input: Input) -> None:
    """Raises CommonError("Validation")."""
    _told().check(operation, input)
