"""Event streams: botocore reads our frames."""

import pytest
from botocore.eventstream import EventStreamBuffer

from haar.wire import eventstream, load


def test_events_are_read_by_botocore() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(eventstream.event("PayloadChunk", b"\x00abc", "application/octet-stream"))
    buffer.add_data(eventstream.event("InvokeComplete", b"{}", "application/json"))
    buffer.add_data(eventstream.exception("SessionTimeoutException", b"{}"))
    first, second, third = list(buffer)
    assert first.payload == b"\x00abc"
    assert first.headers == {
        ":message-type": "event",
        ":event-type": "PayloadChunk",
        ":content-type": "application/octet-stream",
    }
    assert second.headers[":event-type"] == "InvokeComplete"
    assert third.headers[":exception-type"] == "SessionTimeoutException"


def test_a_payload_has_a_bound() -> None:
    with pytest.raises(ValueError, match="more than"):
        eventstream.event("PayloadChunk", b"x" * (eventstream.MAX_PAYLOAD + 1))


async def test_a_stream_is_handed_on_as_it_is() -> None:
    async def chunks():
        yield eventstream.event("PayloadChunk", b"abc")

    stream = chunks()
    response = load("lambda").serialise("InvokeWithResponseStream", {"StatusCode": 200, "EventStream": stream}, "request-id")
    assert response.body is stream
    assert ("Content-Type", "application/vnd.amazon.eventstream") in response.headers
    await stream.aclose()
