"""What becomes of a batch: done, tried again whole, in halves or from the record that failed, or given up. Pure.

https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
"""

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from haar.services.lambda_.mappingrecords import Checkpoint

MAX_STATE = 1_000_000
"""Bytes of a tumbling window's state."""


def next_state(payload: bytes) -> bytes | None:
    """The state that the function's answer hands on within its window, as JSON; None when it is too large."""
    try:
        answer = orjson.loads(payload or b"null")
    except orjson.JSONDecodeError:
        return b"{}"
    state = answer.get("state") if isinstance(answer, dict) else None
    kept = orjson.dumps(state) if isinstance(state, dict) else b"{}"
    return kept if len(kept) <= MAX_STATE else None


class Step(NamedTuple):
    position: int | None
    ends: list[int]
    attempts: int
    given_up: Sequence[int] = ()
    """The numbers of records that are not tried again."""


def succeeded(checkpoint: Checkpoint, behind: int) -> Step:
    """Everything before `behind` is done."""
    return Step(behind, [end for end in checkpoint.ends if end > behind], 0)


def again(checkpoint: Checkpoint, first: int, behind: int) -> Step:
    """The batch could not be handed over: it is tried again, and that does not count."""
    return Step(first, [behind, *(end for end in checkpoint.ends if end > behind)], checkpoint.attempts)


def failed(checkpoint: Checkpoint, numbers: Sequence[int], behind: int, at: int, retries: int, *, bisect: bool) -> Step:
    """The function failed on the batch of these records, from the one at index `at` on; those before it are done."""
    rest, later = numbers[at:], [end for end in checkpoint.ends if end > behind]
    if bisect and at > 0:
        return Step(rest[0], [behind, *later], 0)
    if bisect and len(rest) > 1:
        return Step(rest[0], [rest[len(rest) // 2], behind, *later], checkpoint.attempts)
    attempts = 1 if at > 0 else checkpoint.attempts + 1
    if 0 <= retries < attempts:
        return Step(behind, later, 0, tuple(rest))
    return Step(rest[0], [behind, *later], attempts)


def first_failure(payload: bytes, ids: Sequence[str]) -> int | None:
    """The index of the first record that the function's answer reports as failed; None when all is well.

    An answer that cannot be understood means that everything failed.
    """
    try:
        answer = orjson.loads(payload or b"null")
    except orjson.JSONDecodeError:
        return 0
    if answer is None:
        return None
    if not isinstance(answer, dict):
        return 0
    reported = answer.get("batchItemFailures")
    if not reported:
        return None
    if not isinstance(reported, list):
        return 0
    places = {id: at for at, id in enumerate(ids)}
    first = len(ids)
    for item in reported:
        id = item.get("itemIdentifier") if isinstance(item, dict) else None
        if not isinstance(id, str) or id not in places:
            return 0
        first = min(first, places[id])
    return first
