"""Who wants to know of commits, by space."""

import logging
from collections.abc import Callable, Iterable

log = logging.getLogger(__name__)


class Watchers:
    def __init__(self) -> None:
        self._callbacks: dict[str, list[Callable[[], None]]] = {}

    def __bool__(self) -> bool:
        return bool(self._callbacks)

    def add(self, space: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Answers the function that takes the callback away again."""
        self._callbacks.setdefault(space, []).append(callback)

        def remove() -> None:
            callbacks = self._callbacks.get(space, [])
            if callback in callbacks:
                callbacks.remove(callback)
            if not callbacks:
                self._callbacks.pop(space, None)

        return remove

    def tell(self, spaces: Iterable[str]) -> None:
        if not self._callbacks:
            return
        for space in spaces:
            for callback in tuple(self._callbacks.get(space, ())):
                try:
                    callback()
                except Exception:
                    log.exception("a watcher of %s failed", space)

    def tell_all(self) -> None:
        self.tell(tuple(self._callbacks))
