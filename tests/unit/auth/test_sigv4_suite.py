"""AWS's own SigV4 suite, as botocore ships it, against the verifier."""

from pathlib import Path

import pytest
from tests.support.botocore_sdist import sdist

from haar.auth.principal import Credential, Principal
from haar.auth.sigv4 import authenticate
from haar.wire.errors import CommonError
from haar.wire.http import Request

NOW = 1440938160.0  # 20150830T123600Z
PRINCIPAL = Principal("user", "123456789012", "arn:aws:iam::123456789012:user/suite", "AIDASUITE", "suite")


class Suite:
    """The suite's one credential, under any token."""

    async def find(self, access_key_id: str, session_token: str | None) -> Credential | None:
        secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
        return Credential(access_key_id, secret, PRINCIPAL) if access_key_id == "AKIDEXAMPLE" else None


def folder() -> Path:
    return sdist() / "tests" / "unit" / "auth" / "aws4_testsuite"


def cases() -> list[str]:
    return sorted(str(path.parent.relative_to(folder())) for path in folder().rglob("*.req"))


def request_of(case: str) -> Request:
    """The signed request, with the Authorization header of its own file (that of one `.sreq` is a placeholder)."""
    (raw,) = (folder() / case).glob("*.sreq")
    (authorization,) = (folder() / case).glob("*.authz")
    head, _, body = raw.read_bytes().partition(b"\n\n")
    first, *lines = head.decode("latin-1").split("\n")
    method, _, target = first.removesuffix(" HTTP/1.1").partition(" ")
    headers: dict[str, str] = {}
    pairs: list[tuple[str, str]] = []
    for line in lines:
        if line.startswith(" "):  # the obsolete folding: a server gives it as one line
            name, value = pairs.pop()
            pairs.append((name, f"{value} {line.strip()}"))
            headers[name.lower()] += f" {line.strip()}"
            continue
        name, _, value = line.partition(":")
        value = value.strip()
        pairs.append((name, value))
        known = headers.get(name.lower())
        headers[name.lower()] = value if known is None else f"{known},{value}"
    headers["authorization"] = authorization.read_text().strip()
    path, _, query = target.partition("?")
    return Request(method, path, query, pairs, headers, body)


@pytest.mark.parametrize("case", cases())
async def test_a_request_of_the_suite_is_authenticated(case: str) -> None:
    found = await authenticate(request_of(case), Suite(), NOW)
    assert (found.principal, found.region, found.service) == (PRINCIPAL, "us-east-1", "service")


@pytest.mark.parametrize("case", cases())
async def test_a_request_of_the_suite_that_was_changed_is_refused(case: str) -> None:
    for change in (
        {"method": "DELETE"},
        {"path": "/elsewhere"},
        {"query": "Param9=added"},
        {"body": b"another body"},
    ):
        request = request_of(case)
        for name, value in change.items():
            setattr(request, name, value)
        with pytest.raises(CommonError) as refused:
            await authenticate(request, Suite(), NOW)
        assert refused.value.code == "SignatureDoesNotMatch"


def test_the_suite_is_whole() -> None:
    assert len(cases()) >= 30
