"""Changes of functions that are under way: one at a time each; another that comes meanwhile is refused, as at AWS."""

from collections.abc import Iterator
from contextlib import contextmanager

from haar.services.lambda_.errors import conflict
from haar.services.lambda_.names import FunctionName
from haar.services.service import Host


class Updates:
    """The functions that this process is changing. An update is done, on disk and in effect, when it is answered."""

    def __init__(self, host: Host) -> None:
        self._under_way: set[str] = set()

    @contextmanager
    def begin(self, name: FunctionName) -> Iterator[None]:
        """Holds the function. Raises ResourceConflictException while another update does."""
        if name.arn in self._under_way:
            raise conflict(f"The operation cannot be performed at this time. An update is in progress for resource: {name.arn}")
        self._under_way.add(name.arn)
        try:
            yield
        finally:
            self._under_way.discard(name.arn)

    def under_way(self, name: FunctionName) -> bool:
        return name.arn in self._under_way
