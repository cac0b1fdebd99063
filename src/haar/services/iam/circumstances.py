"""The global condition keys that a request decides, whichever way it comes in.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=2)
def _moment(second: int) -> tuple[tuple[str], tuple[str]]:
    """A moment as a date and as a number."""
    return (datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),), (str(second),)


def circumstances(client: str, headers: Mapping[str, str], secure: bool, region: str, now: float) -> dict[str, Sequence[str]]:
    """`client` is the caller's address, `headers` are by lower-case name, `now` is in seconds since the epoch."""
    date, epoch = _moment(int(now))
    keys: dict[str, Sequence[str]] = {
        "aws:SourceIp": (client,),
        "aws:CurrentTime": date,
        "aws:EpochTime": epoch,
        "aws:SecureTransport": ("true" if secure else "false",),
        "aws:RequestedRegion": (region,),
        "aws:ViaAWSService": ("false",),
        "aws:PrincipalIsAWSService": ("false",),
    }
    if agent := headers.get("user-agent"):
        keys["aws:UserAgent"] = (agent,)
    if referer := headers.get("referer"):
        keys["aws:Referer"] = (referer,)
    return keys
