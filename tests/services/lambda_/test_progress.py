"""What becomes of batches: whatever a function fails on, every record is handled or given up, in order, and it comes to an end."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haar.services.lambda_.mappingrecords import Checkpoint
from haar.services.lambda_.progress import again, failed, first_failure, succeeded

IDS = ["a", "b", "c"]


@pytest.mark.parametrize(
    "answer, first",
    [
        (None, None),
        ({}, None),
        ({"batchItemFailures": []}, None),
        ({"batchItemFailures": None}, None),
        ({"batchItemFailures": [{"itemIdentifier": "c"}, {"itemIdentifier": "b"}]}, 1),
        ({"batchItemFailures": [{"itemIdentifier": "a"}]}, 0),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, 0),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, 0),
        ({"batchItemFailures": [{"wrong": "b"}]}, 0),
        ({"batchItemFailures": [{"itemIdentifier": "z"}]}, 0),
        ({"batchItemFailures": "b"}, 0),
        ("text", 0),
    ],
)
def test_reported_failures(answer: object, first: int | None) -> None:
    assert first_failure(json.dumps(answer).encode(), IDS) == first


def test_an_answer_that_is_not_json_fails_everything() -> None:
    assert first_failure(b"no", IDS) == 0 and first_failure(b"", IDS) is None


def test_what_could_not_be_handed_over_does_not_count() -> None:
    assert again(Checkpoint(position=4, attempts=2, ends=[9]), 5, 7) == (5, [7, 9], 2, ())


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=30, unique=True).map(sorted),
    st.sets(st.integers(1, 60)),
    st.integers(0, 3),
    st.integers(1, 8),
    st.booleans(),
    st.booleans(),
)
def test_every_record_is_handled_or_given_up(
    numbers: list[int], poison: set[int], retries: int, size: int, bisect: bool, partial: bool
) -> None:
    """A lane driven by hand over a shard in which some records always fail."""
    checkpoint, handled, given_up, calls = Checkpoint(position=0), list[int](), list[int](), 0
    while True:
        assert checkpoint.position is not None
        assert checkpoint.ends == sorted(set(checkpoint.ends)) and all(end > checkpoint.position for end in checkpoint.ends)
        rest = [number for number in numbers if number >= checkpoint.position]
        if not rest:
            break
        batch = [number for number in rest if number < checkpoint.ends[0]] if checkpoint.ends else rest[:size]
        behind = checkpoint.ends[0] if checkpoint.ends else batch[-1] + 1
        calls += 1
        assert batch and calls < 2000
        bad = [at for at, number in enumerate(batch) if number in poison]
        if not bad:
            handled += batch
            step = succeeded(checkpoint, behind)
        else:
            at = bad[0] if partial else 0
            handled += batch[:at]
            step = failed(checkpoint, batch, behind, at, retries, bisect=bisect)
        given_up += step.given_up
        checkpoint = Checkpoint(position=step.position, ends=step.ends, attempts=step.attempts)
    assert sorted(handled + given_up) == numbers and handled == sorted(handled)
    if bisect:
        assert handled == [number for number in numbers if number not in poison]
        assert given_up == [number for number in numbers if number in poison]
    if not poison & set(numbers):
        assert handled == numbers
