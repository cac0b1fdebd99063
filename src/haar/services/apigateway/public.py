"""What HTTP and WebSocket APIs share with REST APIs: addresses, the client of endpoints, invocations, speeds, policies of authorizers."""

from haar.services.apigateway import jsonpath, vtl
from haar.services.apigateway.conditions import defined, existing, kind_of, requested
from haar.services.apigateway.dataplane.answers import Refused
from haar.services.apigateway.dataplane.authorise import signed
from haar.services.apigateway.dataplane.authorizers import Verdict, decide, read_verdict
from haar.services.apigateway.dataplane.bodies import schema_validator
from haar.services.apigateway.dataplane.call import parse_query, request_time
from haar.services.apigateway.dataplane.client import Unreachable, fetch
from haar.services.apigateway.dataplane.compile import extended_id, trace_id
from haar.services.apigateway.dataplane.domains import MAPPING, NAME, RULE, truststore
from haar.services.apigateway.dataplane.functions import FUNCTION, SERVICE, VARIABLE, error_message, role_caller, within
from haar.services.apigateway.dataplane.keys import Buckets, Keys
from haar.services.apigateway.dataplane.log import shorten
from haar.services.apigateway.dataplane.logs import AccessLog, LogSink, StageLog
from haar.services.apigateway.dataplane.pools import urls_of_keys
from haar.services.apigateway.dataplane.route import Address, OtherPlane, api_route, host_name
from haar.services.apigateway.dataplane.routing import spoken
from haar.services.apigateway.dataplane.services import ask as ask_service
from haar.services.apigateway.dataplane.services import target as service_target
from haar.services.apigateway.dataplane.tools import UTIL
from haar.services.apigateway.dataplane.tools import Input as TemplateInput
from haar.services.apigateway.dataplane.usage import Usage
from haar.services.apigateway.demands import arn, pass_role, passing
from haar.services.apigateway.domains import create_domain_name, delete_domain_name, get_domain_names, leading_to, update_domain_name
from haar.services.apigateway.domains import find as find_domain
from haar.services.apigateway.importing import read_definition, roles_in
from haar.services.apigateway.models import check_schema
from haar.services.apigateway.openapi.document import Document, as_yaml
from haar.services.apigateway.openapi.samples import sample
from haar.services.apigateway.patterns import PatternError, compile_pattern
from haar.services.apigateway.records import ACCOUNT, DOMAINS, LIVE, docs, get_doc, load_api, put_doc
from haar.services.apigateway.tags import check_tags
from haar.services.apigateway.truststores import describe as describe_certificate
from haar.services.apigateway.vtl.nodes import QUICK_STEPS

__all__ = [
    "ACCOUNT",
    "DOMAINS",
    "FUNCTION",
    "LIVE",
    "MAPPING",
    "NAME",
    "QUICK_STEPS",
    "RULE",
    "SERVICE",
    "UTIL",
    "VARIABLE",
    "AccessLog",
    "Address",
    "Buckets",
    "Document",
    "Keys",
    "LogSink",
    "OtherPlane",
    "PatternError",
    "Refused",
    "StageLog",
    "TemplateInput",
    "Unreachable",
    "Usage",
    "Verdict",
    "api_route",
    "arn",
    "as_yaml",
    "ask_service",
    "check_schema",
    "check_tags",
    "compile_pattern",
    "create_domain_name",
    "decide",
    "defined",
    "delete_domain_name",
    "describe_certificate",
    "docs",
    "error_message",
    "existing",
    "extended_id",
    "fetch",
    "find_domain",
    "get_doc",
    "get_domain_names",
    "host_name",
    "jsonpath",
    "kind_of",
    "leading_to",
    "load_api",
    "parse_query",
    "pass_role",
    "passing",
    "put_doc",
    "read_definition",
    "read_verdict",
    "request_time",
    "requested",
    "role_caller",
    "roles_in",
    "sample",
    "schema_validator",
    "service_target",
    "shorten",
    "signed",
    "spoken",
    "trace_id",
    "truststore",
    "update_domain_name",
    "urls_of_keys",
    "vtl",
    "within",
]
