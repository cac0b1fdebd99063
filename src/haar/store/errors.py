"""What can go wrong in the store. Nothing was acknowledged when one of these is raised, and nothing is half done."""


class StoreError(Exception):
    """The store could not do it; whatever was asked for is not done."""


class StoreFull(StoreError):
    """There is no space left for the write. The store goes on: reads work, and so do writes once there is space."""


class StoreBusy(StoreError):
    """Another writer kept the store for longer than a write may wait, or a conflict lasted through every retry. Try again."""


class StoreBroken(StoreError):
    """A write could not be made durable: the store refuses writes until it is opened again, since it cannot know what is on disk."""


class StoreClosed(StoreError):
    """The store was closed."""


class DataError(StoreError):
    """What is on disk cannot be used as it is; the message names the file and the way out. Nothing was repaired or replaced."""


class InUse(DataError):
    """Another haar serves the directory."""
