"""Resource policies of APIs and of private domain names."""

import re

import orjson

from haar.policy.errors import PolicyError
from haar.policy.validate import validate_resource_policy
from haar.services.apigateway import errors
from haar.services.service import Context

BAD_POLICY = "Invalid policy document. Please check the policy syntax and ensure that Principals are valid."


def escaped(policy: str) -> str:
    """A policy as AWS shows it and Terraform expects it: the inside of a JSON text of it, slashes escaped."""
    return orjson.dumps(policy).decode()[1:-1].replace("/", "\\/")


def whole_policy(ctx: Context, of: str, policy: str) -> str:
    """A resource policy as it is kept: `execute-api:/…` stands for the ARN of what it is of. Raises BadRequestException."""
    prefix = f"arn:aws:execute-api:{ctx.region}:{ctx.account}:{of}/"
    try:
        document = orjson.loads(policy)
        statements = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
        for statement in statements:
            for member in {"Resource", "NotResource"} & set(statement):
                given = statement[member]
                whole_arns = [re.sub(r"^execute-api:/", prefix, one) for one in (given if isinstance(given, list) else [given])]
                statement[member] = whole_arns if isinstance(given, list) else whole_arns[0]
        whole = orjson.dumps(document | {"Statement": statements}).decode()
        validate_resource_policy(whole)
    except (PolicyError, orjson.JSONDecodeError, KeyError, TypeError):
        raise errors.bad_request(BAD_POLICY) from None
    return whole
