"""Smithy RPC v2: what is refused. (What is understood is in the vectors.)"""

import cbor2
import pytest

from haar.wire import load
from haar.wire.errors import CommonError
from haar.wire.http import Request

PATH = "/service/GraniteServiceVersion20100801/operation/PutMetricData"


@pytest.mark.parametrize(
    "body",
    [
        b"\xff",
        b"\xa1",
        b"\x80",
        b"\x01",
        b"\xf6",
        b"\x9b" + b"\xff" * 8,
        b"\x7b" + b"\xff" * 8 + b"x",
        b"\x81" * 100_000,
        b"\xa1a" * 100_000,
        cbor2.dumps({1: "x"}),
        cbor2.dumps({"Namespace": 1}),
        cbor2.dumps({"MetricData": [{"MetricName": "m", "Timestamp": 1}]}),
        cbor2.dumps({"MetricData": [{"MetricName": "m", "Timestamp": cbor2.CBORTag(1, 1e300)}]}),
        cbor2.dumps({"MetricData": [{"MetricName": "m", "Value": "NaN"}]}),
        cbor2.dumps({"MetricData": [None]}),
        cbor2.dumps({"MetricData": cbor2.CBORTag(30, [1, 0])}),
    ],
    ids=lambda body: repr(body[:16]),
)
def test_malformed_requests(body: bytes) -> None:
    codec = load("cloudwatch")
    request = Request.of("POST", PATH, headers={"smithy-protocol": "rpc-v2-cbor"}, body=body)
    assert codec.identify(request) == "PutMetricData"
    with pytest.raises(CommonError) as caught:
        codec.parse("PutMetricData", request)
    assert caught.value.code == "Serialization"


@pytest.mark.parametrize("path", ["/", "/service/X/operation/Fly", "/service/X/PutMetricData", "/operation/PutMetricData"])
def test_unknown_operations(path: str) -> None:
    with pytest.raises(CommonError) as caught:
        load("cloudwatch").identify(Request.of("POST", path))
    assert caught.value.code == "UnknownOperation"
