"""What the operations of CloudWatch demand of policies: its metrics are no resources."""

from collections.abc import Callable, Sequence

from haar.services.service import Context, Demand, Input


def on_all(action: str) -> Callable[[Context, Input], Sequence[Demand]]:
    demanded = (Demand(f"cloudwatch:{action}"),)

    def demands(_context: Context, _input: Input) -> Sequence[Demand]:
        return demanded

    return demands


def on_namespace(action: str) -> Callable[[Context, Input], Sequence[Demand]]:
    def demands(context: Context, input: Input) -> Sequence[Demand]:
        return (Demand(f"cloudwatch:{action}", conditions={"cloudwatch:namespace": (input["Namespace"],)}),)

    return demands
