"""Integrations and integration responses."""

import re

from haar.services.apigateway import errors
from haar.services.apigateway.demands import on, pass_role
from haar.services.apigateway.face import service
from haar.services.apigateway.methods import METHOD, METHODS, NO_CONTENT_TYPE, check_status
from haar.services.apigateway.patch import Entries, Members, Rules, Value, apply, boolean, integer, one_of, text_or_none
from haar.services.apigateway.patterns import PatternError, compile_pattern
from haar.services.apigateway.records import Doc, Draft, change_parts, read_parts
from haar.services.service import Context, Input, Output

MAX_TIMEOUT = 29_000
MIN_TIMEOUT = 50
TIMEOUT = f"Timeout should be between {MIN_TIMEOUT} ms and {MAX_TIMEOUT} ms"
MAX_STREAM = 900_000
"""Milliseconds that a response which is streamed may take."""
MODES = ("BUFFERED", "STREAM")
STREAM_TIMEOUT = f"Timeout should be between {MIN_TIMEOUT} ms and {MAX_STREAM} ms"
TYPES = ("HTTP", "AWS", "MOCK", "HTTP_PROXY", "AWS_PROXY")
HANDLINGS = ("CONVERT_TO_BINARY", "CONVERT_TO_TEXT")
PASSTHROUGH = ("WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER")
URI = re.compile(r"arn:aws[a-z-]*:apigateway:[a-z0-9-]+:([a-zA-Z0-9.-]+):(path|action)/(.*)", re.DOTALL)
"""`arn:aws:apigateway:REGION:lambda:path/2015-03-31/functions/ARN/invocations`"""
TARGET = re.compile(r"integration\.request\.(header|path|querystring)\.[^\s]+")
SOURCE = re.compile(
    r"method\.request\.(header|path|querystring|multivalueheader|multivaluequerystring)\.\S+"
    r"|method\.request\.body(\..+|\[.+)?|context\.\S+|stageVariables\.\S+|'.*'",
    re.DOTALL,
)
ANSWER_TARGET = re.compile(r"method\.response\.header\.\S+")
ANSWER_SOURCE = re.compile(
    r"integration\.response\.(header|multivalueheader)\.\S+|integration\.response\.body(\..+|\[.+)?|context\.\S+|stageVariables\.\S+|'.*'",
    re.DOTALL,
)
INTEGRATION = METHOD + "/integration"


def _handling(value: str | None) -> str | None:
    if value and value not in HANDLINGS:
        raise errors.bad_request(f"Invalid content handling specified. Valid options are {','.join(HANDLINGS)}")
    return value or None


def keep_templates(holder: Doc, member: str) -> None:
    """An empty template is kept as null, and shown so."""
    if member in holder:
        holder[member] = {content_type: template or None for content_type, template in holder[member].items()}


RULES: Rules = {
    "/type": Value(one_of(f"Invalid integration type specified. Valid options are {','.join(TYPES)}", *TYPES)),
    "/httpMethod": Value(text_or_none),
    "/uri": Value(text_or_none),
    "/credentials": Value(text_or_none, ("add", "remove", "replace")),
    "/connectionType": Value(text_or_none),
    "/connectionId": Value(text_or_none),
    "/passthroughBehavior": Value(),
    "/contentHandling": Value(_handling, ("add", "remove", "replace")),
    "/timeoutInMillis": Value(integer(TIMEOUT)),
    "/responseTransferMode": Value(text_or_none, ("add", "replace", "remove")),
    "/cacheNamespace": Value(text_or_none),
    "/cacheKeyParameters": Members(),
    "/requestParameters": Entries(),
    "/requestTemplates": Entries(missing=NO_CONTENT_TYPE),
    "/tlsConfig/insecureSkipVerification": Value(boolean),
}
RESPONSE_RULES: Rules = {
    "/selectionPattern": Value(),
    "/contentHandling": Value(_handling, ("add", "remove", "replace")),
    "/responseParameters": Entries(),
    "/responseTemplates": Entries(missing=NO_CONTENT_TYPE),
}


def check(account: str, draft: Draft, integration: Doc, method: Doc) -> None:
    """Raises BadRequestException unless the integration could run; brings it into the form that is kept."""
    kind, uri = integration["type"], integration.get("uri", "")
    if kind in ("HTTP", "HTTP_PROXY") and not re.match(r"https?://[^\s]+|\$\{stageVariables\.", uri):
        raise errors.bad_request("Invalid HTTP endpoint specified for URI")
    if kind in ("AWS", "AWS_PROXY"):
        _check_arn(uri)
        _check_role(integration, account)
    if kind != "MOCK":
        http_method = integration.get("httpMethod")
        if not http_method:
            raise errors.bad_request("Enumeration value for HttpMethod must be non-empty")
        if http_method not in METHODS:
            raise errors.bad_request(f"Invalid HttpMethod specified. Valid options are {','.join(METHODS)}")
    if integration["passthroughBehavior"] not in PASSTHROUGH:
        raise errors.bad_request(f"Invalid passthrough behavior specified. Valid options are {','.join(PASSTHROUGH)}")
    _check_mode(integration)
    keep_templates(integration, "requestTemplates")
    for target, source in integration.get("requestParameters", {}).items():
        if not TARGET.fullmatch(target):
            raise errors.bad_mapping(target)
        if not SOURCE.fullmatch(source):
            raise errors.bad_mapping(source)
        if source.startswith("method.request.") and not source.startswith("method.request.body"):
            _check_declared(source, method)


def _check_mode(integration: Doc) -> None:
    mode = integration.get("responseTransferMode", "BUFFERED")
    if mode not in MODES:
        raise errors.bad_request(f"Invalid response transfer mode specified. Valid options are {','.join(MODES)}")
    streams = mode == "STREAM"
    if streams and integration["type"] not in ("HTTP_PROXY", "AWS_PROXY"):
        raise errors.bad_request("Response transfer mode STREAM is only supported for HTTP_PROXY and AWS_PROXY integrations")
    if not MIN_TIMEOUT <= integration["timeoutInMillis"] <= (MAX_STREAM if streams else MAX_TIMEOUT):
        raise errors.bad_request(STREAM_TIMEOUT if streams else TIMEOUT)


def _check_declared(source: str, method: Doc) -> None:
    """What a mapping reads must be one of the method's request parameters (or a part of its path)."""
    if ".path." in source or source in method.get("requestParameters", {}):
        return
    plain = source.replace(".multivalue", ".", 1)
    if plain not in method.get("requestParameters", {}):
        raise errors.bad_mapping(source, "Invalid mapping expression parameter specified")


def _check_arn(uri: str) -> None:
    if not uri.startswith("arn:"):
        raise errors.bad_request("Invalid ARN specified in the request")
    if not URI.fullmatch(uri):
        raise errors.bad_request("AWS ARN for integration must contain path or action")


def _check_role(integration: Doc, account: str) -> None:
    """Services other than Lambda are called as somebody, and AWS_PROXY is for functions."""
    matched = URI.fullmatch(integration["uri"])
    service, role = (matched[1] if matched else ""), integration.get("credentials", "")
    if integration["type"] == "AWS_PROXY" and service not in ("lambda", "firehose"):
        raise errors.bad_request(
            "Integrations of type 'AWS_PROXY' currently only supports Lambda function and Firehose stream invocations."
        )
    if service != "lambda" and not role:
        raise errors.bad_request("Role ARN must be specified for AWS integrations")
    if role.startswith("arn:") and role.count(":") >= 5 and role.split(":")[4] not in (account, "*"):
        raise errors.bad_request("Cross-account pass role is not allowed.")


def _new(input: Input) -> Doc:
    integration: Doc = {
        "type": input["type"],
        "passthroughBehavior": input.get("passthroughBehavior", "WHEN_NO_MATCH"),
        "timeoutInMillis": input.get("timeoutInMillis", MAX_TIMEOUT),
        "cacheNamespace": input.get("cacheNamespace", input["resourceId"]),
        "cacheKeyParameters": input.get("cacheKeyParameters", []),
    }
    if input.get("integrationHttpMethod"):
        integration["httpMethod"] = input["integrationHttpMethod"]
    for member in (
        "uri",
        "connectionId",
        "credentials",
        "requestParameters",
        "requestTemplates",
        "contentHandling",
        "tlsConfig",
        "responseTransferMode",
        "integrationTarget",
    ):
        if input.get(member):
            integration[member] = input[member]
    if input["type"] in ("HTTP", "HTTP_PROXY") or "connectionType" in input:
        integration["connectionType"] = input.get("connectionType", "INTERNET")
    return integration


@service.operation("PutIntegration", on("PUT", INTEGRATION, pass_role("credentials")))
async def put_integration(ctx: Context, input: Input) -> Output:
    def change(draft: Draft) -> Doc:
        method = draft.method(input["resourceId"], input["httpMethod"])
        integration = _new(input)
        check(ctx.account, draft, integration, method)
        method["methodIntegration"] = integration
        return integration

    return await change_parts(ctx, input["restApiId"], change)


@service.operation("GetIntegration", on("GET", INTEGRATION))
async def get_integration(ctx: Context, input: Input) -> Output:
    return (await read_parts(ctx, input["restApiId"])).integration(input["resourceId"], input["httpMethod"])


@service.operation("UpdateIntegration", on("PATCH", INTEGRATION, pass_role("credentials")))
async def update_integration(ctx: Context, input: Input) -> Output:
    def change(draft: Draft) -> Doc:
        method = draft.method(input["resourceId"], input["httpMethod"])
        old = draft.integration(input["resourceId"], input["httpMethod"])
        integration = apply(old, input.get("patchOperations", []), RULES)
        integration.setdefault("cacheKeyParameters", [])
        check(ctx.account, draft, integration, method)
        method["methodIntegration"] = integration
        return integration

    return await change_parts(ctx, input["restApiId"], change)


@service.operation("DeleteIntegration", on("DELETE", INTEGRATION))
async def delete_integration(ctx: Context, input: Input) -> Output:
    def change(draft: Draft) -> None:
        draft.integration(input["resourceId"], input["httpMethod"])
        del draft.method(input["resourceId"], input["httpMethod"])["methodIntegration"]

    await change_parts(ctx, input["restApiId"], change)
    return {}


def check_answer(response: Doc, method: Doc) -> None:
    """Raises BadRequestException unless the integration response fits what its method declares; brings it into the form that is kept."""
    pattern = response.get("selectionPattern")
    if pattern:
        try:
            compile_pattern(pattern)
        except PatternError:
            raise errors.bad_request(f"Invalid selection pattern specified: {pattern}") from None
    for target, source in response.get("responseParameters", {}).items():
        if not ANSWER_TARGET.fullmatch(target):
            raise errors.bad_mapping(target)
        if not ANSWER_SOURCE.fullmatch(source):
            raise errors.bad_mapping(source)
    _check_answer_declared(response, method)
    keep_templates(response, "responseTemplates")
    for content_type in response.get("responseTemplates", {}):
        if "/" not in content_type:
            raise errors.bad_request(f"Validation Result: warnings : [], errors : [Invalid content type specified: {content_type}]")


def _check_answer_declared(response: Doc, method: Doc) -> None:
    """What a mapping writes must be one of the response parameters of the method response."""
    targets = response.get("responseParameters", {})
    declared = method.get("methodResponses", {}).get(response["statusCode"])
    if targets and declared is None:
        raise errors.bad_request(
            "Invalid mapping expression specified: Validation Result: warnings : [], errors : [No method response exists for method.]"
        )
    for target in targets:
        if target not in declared.get("responseParameters", {}):
            raise errors.bad_mapping(target, "Invalid mapping expression parameter specified")


@service.operation("PutIntegrationResponse", on("PUT", INTEGRATION + "/responses/{statusCode}"))
async def put_integration_response(ctx: Context, input: Input) -> Output:
    status = input["statusCode"]
    response: Doc = {"statusCode": status}
    for member in ("selectionPattern", "responseParameters", "responseTemplates", "contentHandling"):
        if member in input:
            response[member] = input[member]

    def change(draft: Draft) -> Doc:
        integration = draft.integration(input["resourceId"], input["httpMethod"])
        check_status(status)
        check_answer(response, draft.method(input["resourceId"], input["httpMethod"]))
        integration.setdefault("integrationResponses", {})[status] = response
        return response

    return await change_parts(ctx, input["restApiId"], change)


def _response(draft: Draft, input: Input) -> Doc:
    integration = draft.integration(input["resourceId"], input["httpMethod"])
    found: Doc | None = integration.get("integrationResponses", {}).get(input["statusCode"])
    if found is None:
        raise errors.no_response()
    return found


@service.operation("GetIntegrationResponse", on("GET", INTEGRATION + "/responses/{statusCode}"))
async def get_integration_response(ctx: Context, input: Input) -> Output:
    return _response(await read_parts(ctx, input["restApiId"]), input)


@service.operation("UpdateIntegrationResponse", on("PATCH", INTEGRATION + "/responses/{statusCode}"))
async def update_integration_response(ctx: Context, input: Input) -> Output:
    def change(draft: Draft) -> Doc:
        response = apply(_response(draft, input), input.get("patchOperations", []), RESPONSE_RULES)
        check_answer(response, draft.method(input["resourceId"], input["httpMethod"]))
        draft.integration(input["resourceId"], input["httpMethod"])["integrationResponses"][input["statusCode"]] = response
        return response

    return await change_parts(ctx, input["restApiId"], change)


@service.operation("DeleteIntegrationResponse", on("DELETE", INTEGRATION + "/responses/{statusCode}"))
async def delete_integration_response(ctx: Context, input: Input) -> Output:
    def change(draft: Draft) -> None:
        _response(draft, input)
        integration = draft.integration(input["resourceId"], input["httpMethod"])
        del integration["integrationResponses"][input["statusCode"]]
        if not integration["integrationResponses"]:
            del integration["integrationResponses"]

    await change_parts(ctx, input["restApiId"], change)
    return {}
