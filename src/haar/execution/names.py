"""The name server inside an environment: host names of AWS are haar, whoever hard-codes them.

It answers on the environment's own loopback (a socket made inside, served here). Where functions reach the internet it refuses all other
names, and the resolver asks the next server; where they do not, there are no other names.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable

SUFFIXES = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".on.aws")
MESSAGE_BYTES = 512
AT_ONCE = 8
"""How many questions are answered before others have their turn."""
SECONDS_TO_LIVE = 60
A, ANY, IN = 1, 255, 1
ANSWER, AUTHORITATIVE, RECURSION_DESIRED, RECURSION_AVAILABLE = 0x8000, 0x0400, 0x0100, 0x0080
FORMAT_ERROR, NO_NAME, NOT_BUILT, REFUSED = 1, 3, 4, 5
LOOPBACK = bytes((127, 0, 0, 1))


class NameServer:
    """Answers questions on a UDP socket. `serves` says whether the platform answers for a host name of AWS's."""

    def __init__(self, listening: socket.socket, serves: Callable[[str], bool], *, egress: bool) -> None:
        self._socket = listening
        self._serves = serves
        self._egress = egress
        listening.setblocking(False)
        asyncio.get_running_loop().add_reader(listening.fileno(), self._readable)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket.fileno())

    def _readable(self) -> None:
        for _ in range(AT_ONCE):
            try:
                question, sender = self._socket.recvfrom(MESSAGE_BYTES)
            except OSError:
                return
            answer = reply(question, self._serves, egress=self._egress)
            if answer is not None:
                with contextlib.suppress(OSError):  # who asked has gone, or does not read
                    self._socket.sendto(answer, sender)


def reply(question: bytes, serves: Callable[[str], bool], *, egress: bool) -> bytes | None:
    """The answer to a DNS message (RFC 1035); None for what is no question."""
    if len(question) < 12:
        return None
    number, flags, questions, _, _, _ = struct.unpack_from("!6H", question)
    if flags & ANSWER:
        return None
    base = ANSWER | AUTHORITATIVE | RECURSION_AVAILABLE | flags & RECURSION_DESIRED
    if flags >> 11 & 0xF:
        return struct.pack("!6H", number, base | NOT_BUILT, 0, 0, 0, 0)
    asked = _name(question) if questions == 1 else None
    if asked is None:
        return struct.pack("!6H", number, base | FORMAT_ERROR, 0, 0, 0, 0)
    name, end = asked
    kind, family = struct.unpack_from("!2H", question, end)
    echoed = question[12 : end + 4]
    if not (name.endswith(SUFFIXES) and (not egress or serves(name))):
        return struct.pack("!6H", number, base | (REFUSED if egress else NO_NAME), 1, 0, 0, 0) + echoed
    if kind not in (A, ANY) or family != IN:
        return struct.pack("!6H", number, base, 1, 0, 0, 0) + echoed
    record = struct.pack("!3HIH", 0xC00C, A, IN, SECONDS_TO_LIVE, len(LOOPBACK)) + LOOPBACK
    return struct.pack("!6H", number, base, 1, 1, 0, 0) + echoed + record


def _name(question: bytes) -> tuple[str, int] | None:
    """The name that is asked for, in lower case, and where it ends; None when it is broken."""
    labels, at = [], 12
    while at < len(question) and (length := question[at]):
        if length > 63:
            return None
        labels.append(question[at + 1 : at + 1 + length])
        at += 1 + length
    if at + 5 > len(question):
        return None
    return b".".join(labels).decode("latin-1").lower(), at + 1
