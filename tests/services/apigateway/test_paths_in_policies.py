"""A path says the same to policies and to routes, however it is written."""

import http.client
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.services.apigateway.conftest import Api

from haar.services.apigateway.public import spoken


@pytest.fixture
def guarded(make_api: Callable[..., Api]) -> Api:
    """An API that everyone may call, now that it is after 2020, but for GET /admin of its stage v1."""
    later = {"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}, "Bool": {"aws:PrincipalIsAWSService": "false"}}
    statements = [
        {"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*", "Condition": later},
        {"Effect": "Deny", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/v1/GET/admin"},
    ]
    api = make_api(policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    api.mock("/admin", template="admin")
    api.mock("/public", template="public")
    api.deploy()
    return api


def sent(api: Api, path: str) -> tuple[int, str]:
    """The answer to a path that no client has tidied up."""
    connection = http.client.HTTPConnection("127.0.0.1", api.platform.port)
    connection.request("GET", path, headers={"Host": api.host})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


@pytest.mark.parametrize("path", ["/v1/admin", "/v1/%61dmin", "/v1/%61%64%6D%69%6e", "/v1/admin/", "/v1/%61dmin/"])
def test_a_denied_path_is_denied_however_it_is_written(guarded: Api, path: str) -> None:
    assert sent(guarded, "/v1/public") == (200, "public")
    status, body = sent(guarded, path)
    assert status == 403
    assert json.loads(body)["Message"].endswith(f"{guarded.id}/v1/GET/admin with an explicit deny in a resource-based policy")


def test_what_is_spoken_of_has_as_many_segments_as_the_path() -> None:
    cases: dict[str, Any] = {"/a": "/a", "/%61/b%2Fc": "/a/b%2Fc", "/%2561": "/%61", "/": "/"}
    assert {path: spoken(path) for path in cases} == cases
