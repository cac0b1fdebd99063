"""A policy document, compiled: immutable, quick to evaluate, safe to share."""

from collections.abc import Mapping
from typing import Any

import orjson

from haar.policy.conditions import compile_conditions
from haar.policy.decision import AccessRequest
from haar.policy.errors import PolicyError
from haar.policy.patterns import Patterns, Values

VARIABLES_SINCE = "2012-10-17"

DIRECT, ROLE, ACCOUNT, NOBODY = 3, 2, 1, 0
"""How a Principal element names the caller: itself (or everyone), its role, its account, not at all."""


class Principals:
    """A Principal element."""

    __slots__ = ("_accounts", "_arns", "_everyone", "_federated", "_services")

    def __init__(self, element: Any) -> None:
        self._everyone = element == "*"
        arns: set[str] = set()
        accounts: set[str] = set()
        services: frozenset[str] = frozenset()
        federated: frozenset[str] = frozenset()
        for kind, given in element.items() if isinstance(element, dict) else ():
            values = frozenset(as_list(given))
            if kind == "AWS":
                for value in values:
                    if value == "*":
                        self._everyone = True
                    elif len(value) == 12 and value.isdigit():
                        accounts.add(value)
                    elif value.endswith(":root") and value.count(":") == 5:
                        accounts.add(value.split(":")[4])
                    else:
                        arns.add(value)
            elif kind == "Service":
                services = values
            elif kind == "Federated":
                federated = values
            elif kind != "CanonicalUser":  # nobody here has a canonical id
                raise PolicyError("Syntax errors in policy.")
        self._arns, self._accounts, self._services, self._federated = frozenset(arns), frozenset(accounts), services, federated

    def names(self, request: AccessRequest) -> int:
        """DIRECT, ROLE, ACCOUNT or NOBODY."""
        if self._everyone:
            return DIRECT
        kind = request.principal_kind
        if kind == "service":
            return DIRECT if request.principal_arn in self._services else NOBODY
        if kind == "federated":
            return DIRECT if request.principal_arn in self._federated else NOBODY
        if kind == "anonymous":
            return NOBODY
        if request.principal_arn in self._arns:
            return DIRECT
        if request.role_arn and request.role_arn in self._arns:
            return ROLE
        return ACCOUNT if request.principal_account in self._accounts else NOBODY

    def exempts(self, request: AccessRequest) -> bool:
        """Whether NotPrincipal with Deny leaves the caller alone: its account, its role and itself must all be listed."""
        if self._everyone or request.principal_kind in ("service", "federated", "anonymous"):
            return self.names(request) != NOBODY
        identities = {request.principal_arn, request.role_arn} - {"", f"arn:aws:iam::{request.principal_account}:root"}
        return request.principal_account in self._accounts and identities <= self._arns


class Statement:
    """One statement. Whether it applies is asked in the order action, resource, principal, conditions (`evaluate`)."""

    __slots__ = (
        "_not_principal",
        "_principals",
        "actions",
        "allow",
        "conditions",
        "index",
        "not_action",
        "not_resource",
        "resources",
        "services",
        "sid",
    )

    def __init__(self, index: int, source: Mapping[str, Any], variables: bool) -> None:
        effect = source.get("Effect")
        if effect not in ("Allow", "Deny"):
            raise PolicyError("Syntax errors in policy.")
        self.index = index
        self.sid = str(source.get("Sid", ""))
        self.allow = effect == "Allow"
        self.not_action = "NotAction" in source
        actions = [action.lower() for action in as_list(source.get("NotAction" if self.not_action else "Action", []))]
        self.actions = Patterns(actions)
        self.not_resource = "NotResource" in source
        resources = source.get("NotResource", source.get("Resource"))
        self.resources = None if resources is None else Patterns(as_list(resources), scope="resource", variables=variables)
        self._not_principal = "NotPrincipal" in source
        principals = source.get("NotPrincipal", source.get("Principal"))
        self._principals = None if principals is None else Principals(principals)
        self.conditions = compile_conditions(source.get("Condition", {}), variables)
        services = frozenset(action.partition(":")[0] for action in actions)
        of_any = self.not_action or any("*" in name or "?" in name for name in services)
        self.services = None if of_any else services
        """Prefixes of the actions that it may speak of; None when it may speak of any."""

    def matches_variable_resource(self, resource: str, facts: Values) -> bool:
        return self.resources is not None and self.resources.matches_variable(resource, facts) is not self.not_resource

    def names(self, request: AccessRequest, bounded: bool) -> int:
        """How the statement of a resource policy names the caller; `bounded` is whether it has a permissions boundary.

        Deny with NotPrincipal denies everyone who has one.
        https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
        """
        if self._principals is None:
            return NOBODY
        if not self._not_principal:
            return self._principals.names(request)
        if self.allow:
            return DIRECT if self._principals.names(request) == NOBODY else NOBODY
        return NOBODY if not bounded and self._principals.exempts(request) else DIRECT


class Policy:
    """A compiled policy document."""

    __slots__ = ("by_service", "name", "of_any", "statements", "version")

    def __init__(self, name: str, version: str, statements: tuple[Statement, ...]) -> None:
        self.name = name
        self.version = version
        self.statements = statements
        named = {service for statement in statements for service in statement.services or ()}
        self.of_any = tuple(statement for statement in statements if statement.services is None)
        """The statements that may speak of every service's actions, in order."""
        self.by_service = {
            service: tuple(one for one in statements if one.services is None or service in one.services) for service in named
        }
        """Those and the ones about it, by the prefix of each service that the policy names."""

    def about(self, service: str) -> tuple[Statement, ...]:
        """The statements that may speak of this service's actions, in order; `service` in lower case."""
        return self.by_service.get(service, self.of_any)


def as_list(value: Any) -> list[str]:
    """A string, or a list of strings, as a list."""
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) for one in values):
        raise PolicyError("Syntax errors in policy.")
    return values


def compile_policy(text: str, name: str) -> Policy:
    """Compiles a document that was validated when it was stored. `name` is what its holder calls it (a decision's matches show it).

    Raises PolicyError for what is not a policy at all; nothing unknown is passed over.
    """
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise PolicyError("Syntax errors in policy.") from None
    if not isinstance(document, dict):
        raise PolicyError("Syntax errors in policy.")
    version = document.get("Version", "2008-10-17")
    statements = document.get("Statement", [])
    statements = statements if isinstance(statements, list) else [statements]
    if not isinstance(version, str) or not all(isinstance(one, dict) for one in statements):
        raise PolicyError("Syntax errors in policy.")
    variables = version >= VARIABLES_SINCE
    return Policy(name, version, tuple(Statement(index, one, variables) for index, one in enumerate(statements)))
