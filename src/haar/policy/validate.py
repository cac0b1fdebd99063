"""What IAM refuses when a policy is stored, in the words of MalformedPolicyDocument.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

import re
from typing import Any

import orjson

from haar.policy.conditions import compile_conditions
from haar.policy.errors import PolicyError

__all__ = ["PolicyError", "validate_identity_policy", "validate_resource_policy", "validate_trust_policy"]

SYNTAX = "Syntax errors in policy."
TRUST_SYNTAX = "Syntax error in policy."
LEGACY = "The policy failed legacy parsing"

CURRENT_VERSION = "2012-10-17"
VERSIONS = frozenset(("2008-10-17", CURRENT_VERSION))
TOP = frozenset(("Version", "Id", "Statement"))
IN_STATEMENT = frozenset(("Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal", "Condition"))
PRINCIPAL_KINDS = frozenset(("AWS", "Service", "Federated", "CanonicalUser"))
PARTITIONS = frozenset(("aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc", "*"))
IAM_PATHS = (
    "user/",
    "federated-user/",
    "role/",
    "group/",
    "instance-profile/",
    "mfa/",
    "server-certificate/",
    "policy/",
    "sms-mfa/",
    "saml-provider/",
    "oidc-provider/",
    "report/",
    "access-report/",
)
S3_REGIONAL = ("accesspoint/", "accesspoint:", "storage-lens/", "job/")

_VENDOR = re.compile(r"[A-Za-z0-9.-]+").fullmatch
_SID = re.compile(r"[A-Za-z0-9]*").fullmatch
_ACCOUNT = re.compile(r"\d{12}").fullmatch
_PRINCIPAL_ARN = re.compile(
    r"arn:aws[a-z-]*:(?:iam::\d{12}:(?:root|user/[\w+=,.@/-]+|role/[\w+=,.@/-]+)"
    r"|sts::\d{12}:(?:assumed-role/[\w+=,.@-]+/[\w+=,.@-]+|federated-user/[\w+=,.@-]+))",
    re.ASCII,
).fullmatch
_UNIQUE_ID = re.compile(r"(?:AIDA|AROA)[A-Z0-9]{8,}").fullmatch
_SERVICE = re.compile(r"[a-z0-9.-]+\.(?:amazonaws\.com(?:\.cn)?|amazon\.com|aws\.internal)").fullmatch


def validate_identity_policy(text: str, *, managed: bool = False) -> None:
    """A policy of a user, group or role, a session's or (`managed`) one of its own, which must be of the current version.

    Raises PolicyError.
    """
    document, statements = _parse(text, SYNTAX)
    for statement in statements:
        _statement_syntax(statement)
        if "Principal" in statement or "NotPrincipal" in statement:
            raise PolicyError("Policy document should not specify a principal.")
        if not _SID(statement.get("Sid", "")):
            raise PolicyError(
                "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"
            )
    if managed and document.get("Version") != CURRENT_VERSION:
        raise PolicyError("Policy document must be version 2012-10-17 or greater.")
    _resources_parse(statements)
    if not _unique_sids(statements):
        raise PolicyError("Statement IDs (SID) in a single policy must be unique.")
    for statement in statements:
        _actions(statement)
    for statement in statements:
        _resources(statement)
    for statement in statements:
        _vendors(statement)


def validate_resource_policy(text: str) -> None:
    """A policy of a resource: it names principals. Raises PolicyError."""
    _, statements = _parse(text, SYNTAX)
    for statement in statements:
        _statement_syntax(statement)
        if "Principal" not in statement and "NotPrincipal" not in statement:
            raise PolicyError("Missing required field Principal")
        _principals(statement, SYNTAX)
    _resources_parse(statements)
    if not _unique_sids(statements):
        raise PolicyError("Statement IDs (SID) in a single policy must be unique.")
    for statement in statements:
        _actions(statement)
        _resources(statement)
        _vendors(statement)


def validate_trust_policy(text: str) -> None:
    """A role's trust policy: who may assume it. Raises PolicyError.

    Whether the principals that it names exist is the IAM service's to see.
    """
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise PolicyError("This policy contains invalid Json") from None
    if not isinstance(document, dict):
        raise PolicyError("This policy contains invalid Json")
    if set(document) - TOP:
        raise PolicyError(TRUST_SYNTAX)
    if document.get("Version", CURRENT_VERSION) not in VERSIONS:
        raise PolicyError("The policy must contain a valid version string")
    statements = document.get("Statement")
    statements = statements if isinstance(statements, list) else [statements]
    if not statements or statements == [None]:
        raise PolicyError("Could not parse the policy: Statement is empty!")
    for statement in statements:
        if not isinstance(statement, dict):
            raise PolicyError(TRUST_SYNTAX)
        _trust_statement(statement)
    if not _unique_sids(statements):
        raise PolicyError("The Statement Ids in the policy are not unique")


def _trust_statement(statement: dict[str, Any]) -> None:
    if "Effect" not in statement:
        raise PolicyError("Missing required field Effect")
    effect = statement["Effect"]
    if effect not in ("Allow", "Deny"):
        raise PolicyError(f"Invalid effect: {effect}")
    if "NotPrincipal" in statement:
        raise PolicyError(
            "Allow with NotPrincipal is not allowed." if effect == "Allow" else "AssumeRole policy must not contain NotPrincipal field."
        )
    if "Principal" not in statement:
        raise PolicyError("Missing required field Principal")
    if statement["Principal"] in ({}, "", []):
        raise PolicyError("Missing required field Principal cannot be empty!")
    _principals(statement, TRUST_SYNTAX)
    if "Action" in statement and "NotAction" in statement:
        raise PolicyError(TRUST_SYNTAX)
    actions = _strings(statement, "NotAction" if "NotAction" in statement else "Action", TRUST_SYNTAX)
    if not actions:
        raise PolicyError("Missing required field Action")
    if not all(action.lower().startswith("sts:") for action in actions):
        raise PolicyError("AssumeRole policy may only specify STS AssumeRole actions.")
    if "Resource" in statement:
        raise PolicyError("Has prohibited field Resource")
    if "NotResource" in statement:
        raise PolicyError("AssumeRole policy must not contain resources.")
    if set(statement) - IN_STATEMENT or not isinstance(statement.get("Sid", ""), str):
        raise PolicyError(TRUST_SYNTAX)
    _conditions(statement, TRUST_SYNTAX)


def _parse(text: str, syntax: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise PolicyError(syntax) from None
    if not isinstance(document, dict) or set(document) - TOP or not isinstance(document.get("Id", ""), str):
        raise PolicyError(syntax)
    version = document.get("Version", "2008-10-17")
    if not isinstance(version, str) or version not in VERSIONS:
        raise PolicyError(syntax)
    statements = document.get("Statement")
    statements = [statements] if isinstance(statements, dict) else statements
    if not isinstance(statements, list) or not statements or not all(isinstance(one, dict) for one in statements):
        raise PolicyError(syntax)
    return document, statements


def _statement_syntax(statement: dict[str, Any]) -> None:
    if set(statement) - IN_STATEMENT or statement.get("Effect") not in ("Allow", "Deny"):
        raise PolicyError(SYNTAX)
    for name in ("Action", "Resource", "Principal"):
        if name in statement and "Not" + name in statement:
            raise PolicyError(SYNTAX)
    for name in ("Action", "NotAction", "Resource", "NotResource"):
        _strings(statement, name, SYNTAX)
    sid = statement.get("Sid", "")
    if not isinstance(sid, str):
        raise PolicyError(SYNTAX)
    _conditions(statement, SYNTAX)


def _strings(statement: dict[str, Any], name: str, syntax: str) -> list[str]:
    """A string or a list of strings as a list; empty when it is not there."""
    value = statement.get(name, [])
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) for one in values):
        raise PolicyError(syntax)
    return values


def _conditions(statement: dict[str, Any], syntax: str) -> None:
    block = statement.get("Condition", {})
    if not isinstance(block, dict):
        raise PolicyError(syntax)
    try:
        compile_conditions(block, variables=True)
    except PolicyError:
        raise PolicyError(syntax) from None


def _unique_sids(statements: list[dict[str, Any]]) -> bool:
    sids = [statement["Sid"] for statement in statements if statement.get("Sid")]
    return len(sids) == len(set(sids))


def _actions(statement: dict[str, Any]) -> None:
    if not statement.get("Action") and not statement.get("NotAction") and "" not in (statement.get("Action"), statement.get("NotAction")):
        raise PolicyError("Policy statement must contain actions.")


def _vendors(statement: dict[str, Any]) -> None:
    for action in _strings(statement, "Action", SYNTAX) + _strings(statement, "NotAction", SYNTAX):
        vendor, colon, name = action.partition(":")
        if not colon and action != "*":
            raise PolicyError("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
        if ":" in name:
            raise PolicyError("Actions/Condition can contain only one colon.")
        if vendor != "*" and not _VENDOR(vendor):
            raise PolicyError(f"Vendor {vendor} is not valid")


def _resources_parse(statements: list[dict[str, Any]]) -> None:
    """What an older parser of IAM's refuses before anything else is looked at: an ARN without a service."""
    for statement in statements:
        for resource in _strings(statement, "Resource", SYNTAX) + _strings(statement, "NotResource", SYNTAX):
            if resource.startswith("arn:") and resource.count(":") < 2 and "*" not in resource:
                raise PolicyError(LEGACY)
            if resource.startswith("arn:aws") and resource.split(":")[1] not in PARTITIONS and resource.count(":") < 5:
                raise PolicyError(LEGACY)


def _resources(statement: dict[str, Any]) -> None:
    resources = _strings(statement, "Resource", SYNTAX) + _strings(statement, "NotResource", SYNTAX)
    if not resources:
        raise PolicyError("Policy statement must contain resources.")
    for resource in resources:
        if resource != "*":
            _resource(resource)


def _resource(resource: str) -> None:
    scheme, colon, rest = resource.partition(":")
    if not colon or not scheme:
        raise PolicyError(f'Resource {resource} must be in ARN format or "*".')
    partition, colon, rest = rest.partition(":")
    if partition not in PARTITIONS or scheme != "arn":
        fields = [*rest.split(":", 3), "*", "*", "*", "*"][:4] if rest else ["*"] * 4
        raise PolicyError(f'Partition "{partition}" is not valid for resource "arn:{partition}:{":".join(fields)}".')
    if not colon:
        raise PolicyError("Resource vendor must be fully qualified and cannot contain regexes.")
    service, _, rest = rest.partition(":")
    if service != "*" and ("*" in service or "?" in service or not service):
        raise PolicyError("Resource vendor must be fully qualified and cannot contain regexes.")
    region, _, rest = rest.partition(":")
    path = rest.partition(":")[2]
    if service == "iam":
        if region not in ("", "*"):
            raise PolicyError(f"IAM resource {resource} cannot contain region information.")
        if path and path != "root" and not path.startswith(("*", "?", "$")) and not _starts(path, IAM_PATHS):
            raise PolicyError(f'IAM resource path must either be "*", root, or start with {", ".join(IAM_PATHS)}.')
    elif service == "s3" and region not in ("", "*") and not path.startswith(S3_REGIONAL):
        raise PolicyError(f"Resource {resource} can not contain region information.")


def _starts(path: str, starts: tuple[str, ...]) -> bool:
    """Whether a path that may hold wildcards starts as one of these."""
    plain = re.split(r"[*?$]", path, maxsplit=1)[0]
    return path.startswith(starts) or (plain != path and any(start.startswith(plain) for start in starts))


def _principals(statement: dict[str, Any], syntax: str) -> None:
    principal = statement.get("Principal", statement.get("NotPrincipal"))
    if principal == "*":
        return
    if isinstance(principal, str):
        raise PolicyError(f'Invalid principal in policy: "STAR":"{principal}"')
    if not isinstance(principal, dict):
        raise PolicyError(syntax)
    for kind, given in principal.items():
        if kind not in PRINCIPAL_KINDS:
            raise PolicyError(f'Invalid principal in policy: "{kind}"')
        for value in _strings(principal, kind, syntax):
            if not _principal(kind, value):
                raise PolicyError(f'Invalid principal in policy: "{kind.upper()}":"{value}"')
        if given == []:
            raise PolicyError("Missing required field Principal cannot be empty!")


def _principal(kind: str, value: str) -> bool:
    if kind == "AWS":
        return value == "*" or bool(_ACCOUNT(value) or _PRINCIPAL_ARN(value) or _UNIQUE_ID(value))
    if kind == "Service":
        return bool(_SERVICE(value))
    return bool(value) and "*" not in value
