"""What Lambda checks of an input before anything else: the model's constraints, but for the runtime, which has an error of its own."""

from functools import cache

from haar.services.lambda_.errors import invalid
from haar.services.service import Input
from haar.wire.model import read
from haar.wire.validation import Validator

CONFIGURING = frozenset(("CreateFunction", "UpdateFunctionConfiguration"))


@cache
def runtimes() -> tuple[str, ...]:
    """Every identifier of a runtime that AWS has or had."""
    return tuple(read("lambda").shape("Runtime").traits["enum"])


@cache
def _validator() -> Validator:
    return Validator(read("lambda"), frozenset(), everything=True)


def check(operation: str, input: Input) -> None:
    if operation not in CONFIGURING or "Runtime" not in input or input["Runtime"] in runtimes():
        _validator().check(operation, input)
        return
    _validator().check(operation, {name: value for name, value in input.items() if name != "Runtime"})
    raise invalid(
        f"Value {input['Runtime']} at 'runtime' failed to satisfy constraint: "
        f"Member must satisfy enum value set: [{', '.join(runtimes())}] or be a valid ARN"
    )
