"""A template, parsed once and rendered often."""

from typing import Any

from haar.services.apigateway.vtl.errors import TemplateError
from haar.services.apigateway.vtl.nodes import MAX_STEPS, Break, State, Stop, Text, render
from haar.services.apigateway.vtl.parser import parse


class Template:
    """Raises TemplateError when the source cannot be read."""

    def __init__(self, source: str) -> None:
        self._nodes = parse(source)
        self.constant: str | None = None
        """What it prints, when that is always the same."""
        if all(isinstance(node, Text) for node in self._nodes):
            self.constant = "".join(node.text for node in self._nodes if isinstance(node, Text))

    def render(self, variables: dict[str, Any], steps: int = MAX_STEPS) -> str:
        """What the template prints; `variables` are changed by it. Raises TemplateError for what does too much, TooManySteps for what
        takes more than `steps`."""
        if self.constant is not None:
            return self.constant
        state = State(variables, steps)
        try:
            render(self._nodes, state)
        except (Stop, Break):
            pass
        except RecursionError:
            raise TemplateError("the template is nested too deeply") from None
        return "".join(state.out)
