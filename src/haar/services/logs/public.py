"""What other services may ask of CloudWatch Logs."""

from collections.abc import Sequence

from haar.services.service import Host


async def append(host: Host, region: str, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
    """Writes (epoch ms, message) events to a stream, making group and stream when they are not there. Durable when it answers."""
    raise NotImplementedError
