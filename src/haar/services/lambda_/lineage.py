"""The trace header of an invocation, and the chain of functions in it: how often one has been reached from itself. Pure.

`Root=1-…;Parent=…;Sampled=0;Lineage=HASH:COUNT,…`. SDKs inside functions send the header on with every call that they make, so that an
invocation which a function causes carries the functions before it.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
"""

from zlib import crc32

MAX_LOOPS = 16
"""How often a function may be reached in one chain."""
MAX_LINEAGE = 16
"""Functions of a chain that are remembered: the latest."""
MAX_TRACE = 1024
"""Characters of a header that is taken over."""

_FIELD = "Lineage="
_NAMES = ("Root", "Parent", "Sampled")


def is_whole(trace: str | None) -> bool:
    """Whether it says all that a trace header has to."""
    return trace is not None and len(trace) <= MAX_TRACE and all(f";{name}=" in f";{trace}" for name in _NAMES)


def complete(trace: str | None, fresh: str) -> str:
    """The header with what it lacks; without a root, it is `fresh`, which begins a new trace, and only its lineage is kept."""
    fields = [field for field in (trace or "").split(";") if field] if trace and len(trace) <= MAX_TRACE else []
    given = {field.partition("=")[0]: field for field in fields}
    if "Root" not in given:
        return ";".join([fresh, *(field for field in fields if field.startswith(_FIELD))])
    first = [given.get(field.partition("=")[0], field) for field in fresh.split(";")]
    return ";".join([*first, *(field for field in fields if field.partition("=")[0] not in _NAMES)])


def carry(trace: str | None, arn: str, fresh: str) -> tuple[str, int]:
    """The header for an invocation of the function, and how often the chain has reached it before. `fresh` begins a new trace."""
    if trace is None or not is_whole(trace):
        trace = complete(trace, fresh)
    fields = [field for field in trace.split(";") if field]
    lineage = _lineage(fields)
    name = f"{crc32(arn.encode()):08x}"
    before = lineage.pop(name, 0)
    lineage[name] = min(before + 1, MAX_LOOPS)
    kept = list(lineage.items())[-MAX_LINEAGE:]
    rest = [field for field in fields if not field.startswith(_FIELD)]
    return ";".join([*rest, _FIELD + ",".join(f"{hash}:{count}" for hash, count in kept)]), before


def _lineage(fields: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for field in fields:
        if field.startswith(_FIELD):
            for entry in field.removeprefix(_FIELD).split(",")[:MAX_LINEAGE]:
                name, _, count = entry.partition(":")
                if len(name) == 8 and count.isdecimal() and len(count) < 4:
                    found[name] = int(count)
    return found
