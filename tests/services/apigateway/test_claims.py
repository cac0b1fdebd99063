"""Claims of user pools' tokens as REST APIs show them."""

from typing import Any

import pytest

from haar.services.apigateway.dataplane.pools import shown


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("exp", 1_700_000_000, "Tue Nov 14 22:13:20 UTC 2023"),
        ("exp", 1e30, "1e+30"),
        ("iat", -1, "-1"),
        ("iat", 1e300, "1e+300"),
        ("age", 5, "5"),
        ("cognito:groups", ["a", "b"], "a,b"),
        ("email_verified", True, "true"),
    ],
)
def test_claims_are_text(name: str, value: Any, text: str) -> None:
    assert shown(name, value) == text
