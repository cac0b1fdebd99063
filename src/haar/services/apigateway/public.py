"""What HTTP and WebSocket APIs share with REST APIs: addresses, the client of endpoints, invocations, speeds, policies of authorizers."""

from haar.services.apigateway import jsonpath
from haar.services.apigateway.dataplane.answers import Refused
from haar.services.apigateway.dataplane.authorise import signed
from haar.services.apigateway.dataplane.authorizers import Verdict, outcome_of, read_verdict
from haar.services.apigateway.dataplane.call import parse_query, request_time
from haar.services.apigateway.dataplane.client import Unreachable, fetch
from haar.services.apigateway.dataplane.compile import extended_id, trace_id
from haar.services.apigateway.dataplane.functions import FUNCTION, SERVICE, VARIABLE, in_time, role_caller
from haar.services.apigateway.dataplane.keys import Buckets
from haar.services.apigateway.dataplane.route import Address, OtherPlane, api_route
from haar.services.apigateway.demands import arn, pass_role

__all__ = [
    "FUNCTION",
    "SERVICE",
    "VARIABLE",
    "Address",
    "Buckets",
    "OtherPlane",
    "Refused",
    "Unreachable",
    "Verdict",
    "api_route",
    "arn",
    "extended_id",
    "fetch",
    "in_time",
    "jsonpath",
    "outcome_of",
    "parse_query",
    "pass_role",
    "read_verdict",
    "request_time",
    "role_caller",
    "signed",
    "trace_id",
]
