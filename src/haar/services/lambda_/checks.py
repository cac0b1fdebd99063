"""What Lambda checks of an input before anything else: the model's constraints, but for the runtime, which has an error of its own."""

import copy
from functools import cache

from haar.services.lambda_.errors import invalid
from haar.services.service import Input
from haar.wire.model import Model, read
from haar.wire.validation import Validator

CONFIGURING = frozenset(("CreateFunction", "UpdateFunctionConfiguration"))
TOLD = (
    "nodejs20.x", "python3.14", "provided.al2023", "python3.12", "python3.13", "nodejs24.x", "nodejs22.x", "java25", "java17", "nodejs16.x",
    "dotnet8", "python3.10", "java11", "python3.11", "dotnet10", "dotnet6", "java21", "nodejs18.x", "provided.al2", "ruby3.3", "ruby3.4",
    "java8.al2", "ruby3.2", "python3.8", "python3.9",
)  # fmt: skip
"""The runtimes that AWS names to whoever asks for one that there is not, in its order; older ones are taken here, too."""
MOST = {"MemorySize": 10_240, "Timeout": 900, "EphemeralStorageSize": 10_240}
"""Of functions without a capacity provider; the model has what others may have."""
ORDERS = {
    "EventSourcePosition": ("LATEST", "AT_TIMESTAMP", "TRIM_HORIZON"),
    "InvokeMode": ("RESPONSE_STREAM", "BUFFERED"),
}
"""Values in the order in which AWS names them, where that is not the model's."""


@cache
def runtimes() -> tuple[str, ...]:
    """Every identifier of a runtime that AWS has or had."""
    return tuple(read("lambda").shape("Runtime").traits["enum"])


@cache
def _validator() -> Validator:
    return Validator(_as_told(read("lambda")), frozenset(), everything=True)


def _as_told(model: Model) -> Model:
    told = copy.copy(model)
    changed = {name: {"enum": list(order)} for name, order in ORDERS.items()} | {name: {"max": most} for name, most in MOST.items()}
    told.shapes = {**model.shapes} | {name: {**model.shapes[name], **traits} for name, traits in changed.items()}
    return told


def check(operation: str, input: Input) -> None:
    if operation not in CONFIGURING or "Runtime" not in input or input["Runtime"] in runtimes():
        _validator().check(operation, input)
        return
    _validator().check(operation, {name: value for name, value in input.items() if name != "Runtime"})
    raise invalid(
        f"Value {input['Runtime']} at 'runtime' failed to satisfy constraint: "
        f"Member must satisfy enum value set: [{', '.join(TOLD)}] or be a valid ARN"
    )
