"""A client of HTTP/2 over TLS that does just what a test tells it to."""

import contextlib
import socket
import ssl
from pathlib import Path
from types import TracebackType
from typing import Any

import h2.events as events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import NoSuchStreamError

SECONDS = 30.0


class Answer:
    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.ended = False
        self.reset: int | None = None


class Http2Client:
    """One connection."""

    def __init__(self, port: int, authority: Path, name: str = "localhost", reading: bool = True) -> None:
        context = ssl.create_default_context(cafile=str(authority))
        context.set_alpn_protocols(["h2"])
        self.socket = context.wrap_socket(socket.create_connection(("127.0.0.1", port), SECONDS), server_hostname=name)
        assert self.socket.selected_alpn_protocol() == "h2"
        self.name = name
        self.conn = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1"))
        self.conn.initiate_connection()
        self.answers: dict[int, Answer] = {}
        self.terminated: int | None = None
        self.informed: list[dict[str, str]] = []
        self.reading = reading
        """Whether windows are opened again as data comes."""
        self.flush()

    def __enter__(self) -> "Http2Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.socket.close()

    def flush(self) -> None:
        data = self.conn.data_to_send()
        if data:
            self.socket.sendall(data)

    def begin(self, path: str, *, method: str = "GET", headers: dict[str, str] | None = None, end: bool = True) -> int:
        stream_id = self.conn.get_next_available_stream_id()
        head = [(":method", method), (":path", path), (":scheme", "https"), (":authority", self.name), *(headers or {}).items()]
        self.conn.send_headers(stream_id, head, end_stream=end)
        self.answers[stream_id] = Answer()
        self.flush()
        return stream_id

    def send_body(self, stream_id: int, body: bytes) -> None:
        """As the server's windows let it."""
        while body and not self.answers[stream_id].ended:
            try:
                size = min(len(body), self.conn.local_flow_control_window(stream_id), self.conn.max_outbound_frame_size)
            except NoSuchStreamError:
                return
            if size == 0:
                self.read()
                continue
            self.conn.send_data(stream_id, body[:size], end_stream=size == len(body))
            body = body[size:]
            self.flush()

    def read(self) -> bool:
        """What has arrived; false when the server has hung up."""
        try:
            data = self.socket.recv(65536)
        except (ConnectionError, ssl.SSLError):
            return False
        if not data:
            return False
        for event in self.conn.receive_data(data):
            self._take(event)
        if self.terminated is None:
            with contextlib.suppress(ConnectionError, ssl.SSLError):  # what has come can be read all the same
                self.flush()
        return True

    def _take(self, event: Any) -> None:
        answer = self.answers.get(getattr(event, "stream_id", None) or 0, Answer())
        if isinstance(event, events.ResponseReceived):
            answer.headers = dict(event.headers)  # type: ignore[arg-type]
            answer.status = int(answer.headers[":status"])
        elif isinstance(event, events.InformationalResponseReceived):
            self.informed.append(dict(event.headers))  # type: ignore[arg-type]
        elif isinstance(event, events.DataReceived):
            answer.body += event.data
            if self.reading and event.flow_controlled_length:
                self.conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, events.StreamEnded):
            answer.ended = True
        elif isinstance(event, events.StreamReset):
            answer.reset, answer.ended = int(event.error_code), True
        elif isinstance(event, events.ConnectionTerminated):
            self.terminated = int(event.error_code)

    def reset(self, stream_id: int) -> None:
        self.conn.reset_stream(stream_id, ErrorCodes.CANCEL)

    def finish(self, *stream_ids: int) -> list[Answer]:
        """Waits for the answers to end."""
        while not all(self.answers[stream_id].ended for stream_id in stream_ids):
            if not self.read():
                break
        return [self.answers[stream_id] for stream_id in stream_ids]

    def ask(self, path: str, *, method: str = "GET", headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
        stream_id = self.begin(path, method=method, headers=headers, end=not body)
        if body:
            self.send_body(stream_id, body)
        return self.finish(stream_id)[0]
