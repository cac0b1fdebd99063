"""What is measured of HTTP and WebSocket APIs, as CloudWatch tells it."""

from collections.abc import Callable

from tests.support.metrics import total

from .conftest import HttpApi
from .test_websocket import SocketApi, make_sockets

__all__ = ["make_sockets"]


def test_requests_are_measured(api: HttpApi) -> None:
    cloudwatch = api.platform.client("cloudwatch")
    api.route("GET /a", api.integration("http://127.0.0.1:9/"))
    api.gateway.update_stage(ApiId=api.id, StageName="$default", DefaultRouteSettings={"DetailedMetricsEnabled": True})
    assert [api.call("/a").status_code, api.call("/b").status_code, api.call("/b").status_code] == [503, 404, 404]
    assert total(cloudwatch, "Count", 3, ApiId=api.id) == 3
    assert total(cloudwatch, "4xx", 2, ApiId=api.id, Stage="$default") == 2
    assert total(cloudwatch, "5xx", 1, ApiId=api.id) == 1
    assert total(cloudwatch, "Count", 1, ApiId=api.id, Stage="$default", Method="GET", Resource="/a") == 1


def test_messages_are_measured(make_sockets: Callable[..., SocketApi]) -> None:
    api = make_sockets()
    cloudwatch = api.platform.client("cloudwatch")
    for key in ("$connect", "say"):
        api.route(key, None)
    api.deploy()
    client = api.connect()
    for _ in range(3):
        client.send({"action": "say"})
    client.ping()
    client.next()
    assert total(cloudwatch, "ConnectCount", 1, ApiId=api.id) == 1
    assert total(cloudwatch, "MessageCount", 3, ApiId=api.id, Stage="v1") == 3
