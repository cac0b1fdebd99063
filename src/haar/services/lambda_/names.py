"""How a function is named: by its name, a partial ARN or an ARN, with or without a qualifier. Pure."""

import re
from typing import NamedTuple

from haar.services.lambda_.errors import invalid, not_found

LATEST = "$LATEST"
MAX_NAME = 64
_FORMS = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:(?P<region>[a-z0-9-]+):(?P<owner>\d{12}):function:"
    r"|(?:(?:(?P<place>[a-z]{2}(?:-[a-z]+){1,2}-\d):)?(?P<account>\d{12}):)?(?:function:)?)"
    r"(?P<name>[a-zA-Z0-9-_.]+)(?::(?P<qualifier>\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)


class FunctionName(NamedTuple):
    region: str
    account: str
    name: str
    qualifier: str = ""
    """A version, an alias, $LATEST, or empty."""

    @property
    def arn(self) -> str:
        """Unqualified."""
        return f"arn:aws:lambda:{self.region}:{self.account}:function:{self.name}"

    @property
    def qualified(self) -> str:
        """With the qualifier, when there is one."""
        return f"{self.arn}:{self.qualifier}" if self.qualifier else self.arn

    def at(self, qualifier: str) -> "FunctionName":
        return self._replace(qualifier=qualifier)


def parse_name(text: str, region: str, account: str, qualifier: str | None = None) -> FunctionName:
    """Raises InvalidParameterValueException for what names no function, ResourceNotFoundException for another region's."""
    found = _FORMS.fullmatch(text)
    if found is None:
        raise invalid(f"{text} is not a valid function name or ARN.")
    named = found["region"] or found["place"]
    if named and named != region:
        raise not_found(f"Functions from '{named}' are not reachable in this region ('{region}')")
    if qualifier and found["qualifier"] and qualifier != found["qualifier"]:
        raise invalid("The derived qualifier from the function name does not match the specified qualifier.")
    return FunctionName(region, found["owner"] or found["account"] or account, found["name"], qualifier or found["qualifier"] or "")


def is_version(qualifier: str) -> bool:
    return qualifier.isdigit()
