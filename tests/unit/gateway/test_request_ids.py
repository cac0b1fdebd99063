"""Every answer carries the id of its request, in the form of its service."""

import re

from tests.support.platform import RunningPlatform

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}"


def test_request_ids(platform: RunningPlatform) -> None:
    dynamodb, iam = platform.client("dynamodb"), platform.client("iam")
    shown = [dynamodb.list_tables()["ResponseMetadata"]["RequestId"] for _ in range(20)]
    assert all(re.fullmatch(r"[0-9A-V]{52}", one) for one in shown) and len(set(shown)) == 20
    shown = [iam.list_users()["ResponseMetadata"]["RequestId"] for _ in range(3)]
    assert all(re.fullmatch(UUID, one) for one in shown) and len(set(shown)) == 3
