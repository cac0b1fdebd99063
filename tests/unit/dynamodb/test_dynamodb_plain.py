"""What is told at a glance about a request agrees with the model's own constraints."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haar.services.dynamodb.plain import NEEDED, UNBOUND, is_plain
from haar.services.dynamodb.prepare import OPAQUE
from haar.wire import load
from haar.wire.errors import CommonError

LONG = "n" * 65_536
TEXTS: dict[str, Any] = {
    "TableName": st.sampled_from(["abc", "ab", "a b c", "x" * 256, "", "a.b-c_1"]),
    "IndexName": st.sampled_from(["abc", "ab", "a b c", "x" * 256]),
    "ReturnValues": st.sampled_from(["NONE", "ALL_OLD", "none", ""]),
    "ReturnConsumedCapacity": st.sampled_from(["TOTAL", "INDEXES", "NONE", "ALL"]),
    "Select": st.sampled_from(["COUNT", "SOME"]),
    "Limit": st.integers(-1, 2),
    "ExpressionAttributeNames": st.sampled_from([{}, {"#a": "a"}, {"#a": "a", "#b": LONG}]),
    "AttributesToGet": st.lists(st.just("a"), max_size=2),
    **{
        name: st.sampled_from([{}, {"a": {"S": "x"}}, {"a": {"S": "x"}, LONG: {"S": "x"}}]) for name in ("Key", "Item", "ExclusiveStartKey")
    },
    **{name: st.just("x") for name in UNBOUND},
}


@pytest.mark.parametrize("operation", NEEDED)
@given(data=st.data())
def test_what_is_plain_keeps_the_constraints(operation, data):
    members = sorted({name for name, _ in load("dynamodb", OPAQUE).model.input(operation).members()} & set(TEXTS))
    input = {name: data.draw(TEXTS[name]) for name in data.draw(st.sets(st.sampled_from(members)))}
    if is_plain(operation, input):
        load("dynamodb", OPAQUE).validate(operation, input)


@pytest.mark.parametrize("operation", NEEDED)
def test_usual_requests_are_plain_and_others_are_not(operation):
    key = "Item" if operation == "PutItem" else "Key"
    usual = {"TableName": "a.table", key: {"id": {"S": "1"}}, "ReturnConsumedCapacity": "TOTAL"}
    if operation in ("Query", "Scan"):
        del usual[key]
    assert is_plain(operation, usual)
    for change in ({"TableName": "a"}, {"ReturnConsumedCapacity": "X"}, {"Segment": 5}):
        assert not is_plain(operation, usual | change)
    del usual["TableName"]
    assert not is_plain(operation, usual)
    with pytest.raises(CommonError):
        load("dynamodb", OPAQUE).validate(operation, usual)
