"""TestInvokeMethod: a method of the draft, called as it would be when deployed, with the log of what happened."""

from urllib.parse import quote

from haar.services.apigateway import errors
from haar.services.apigateway.authorizers import AUTHORIZER
from haar.services.apigateway.dataplane.answers import Refused
from haar.services.apigateway.dataplane.authorizers import consult, tell_verdict
from haar.services.apigateway.dataplane.call import Call
from haar.services.apigateway.dataplane.compile import Compiled, Endpoint, Live, compile_draft, extended_id, trace_id
from haar.services.apigateway.dataplane.execute import narrated
from haar.services.apigateway.dataplane.log import ExecutionLog
from haar.services.apigateway.dataplane.mapping import look_up
from haar.services.apigateway.dataplane.pools import shown, verified
from haar.services.apigateway.dataplane.routing import ANY, Node
from haar.services.apigateway.demands import on
from haar.services.apigateway.face import service
from haar.services.apigateway.methods import METHOD
from haar.services.apigateway.records import Doc, load_draft, read_parts
from haar.services.service import Context, Input, Output
from haar.wire.http import Request, Response

STAGE = "test-invoke-stage"
AUTHORIZER_STAGE = "ESTestInvoke-stage"
SOURCE_IP = "test-invoke-source-ip"
DOMAIN = "testPrefix.testDomainName"


def _request(input: Input, resource_path: str, ctx: Context) -> Request:
    path, _, query = input.get("pathWithQueryString", "").partition("?")
    found = [(name, value) for name, value in input.get("headers", {}).items()]
    for name, values in input.get("multiValueHeaders", {}).items():
        found = [pair for pair in found if pair[0].lower() != name.lower()]
        found.extend((name, value) for value in values)
    headers: dict[str, str] = {}
    for name, value in found:
        headers[name.lower()] = f"{headers[name.lower()]},{value}" if name.lower() in headers else value
    headers.setdefault("user-agent", ctx.user_agent)  # who tests is told to templates, not sent on
    body = input.get("body", "").encode()
    return Request(input["httpMethod"], path or resource_path, query, found, headers, body, SOURCE_IP, ctx.secure)


def _path_parameters(endpoint: Endpoint, path: str) -> dict[str, str]:
    """The parameters in a path that was given for the test; none when it is another resource's path."""
    root: Node[Endpoint] = Node()
    root.add(endpoint.resource_path, {ANY: endpoint})
    matched = root.match(path, ANY)
    return matched[1] if matched else {}


@service.operation("TestInvokeMethod", on("POST", METHOD))
async def test_invoke_method(ctx: Context, input: Input) -> Output:
    draft = await read_parts(ctx, input["restApiId"])
    methods = draft.resource(input["resourceId"]).get("resourceMethods", {})
    method = methods.get(input["httpMethod"]) or methods.get(ANY)
    if method is None:
        raise errors.no_method()
    if "methodIntegration" not in method:
        raise errors.bad_request("No integration defined for method")
    resource = draft.resource(input["resourceId"])
    draft.resources = {resource["id"]: resource | {"resourceMethods": {method["httpMethod"]: method}}}
    compiled = compile_draft(draft)
    matched = compiled.root.match(quote(resource["path"], safe="/{}+"), method["httpMethod"])
    assert matched is not None
    request = _request(input, resource["path"], ctx)
    call = _call(ctx, input, compiled, request)
    call.endpoint, call.path_parameters = matched[0], _path_parameters(matched[0], request.path)
    began = ctx.now()
    response = await narrated(call, matched[0])
    assert isinstance(call.log, ExecutionLog)
    body = response.body if isinstance(response.body, bytes) else b"".join([part async for part in response.body])
    many: dict[str, list[str]] = {}
    for name, value in response.headers:
        many.setdefault(name, []).append(value)
    return {
        "status": response.status,
        "body": body.decode("utf-8", "replace"),
        "headers": {name: values[-1] for name, values in many.items()},
        "multiValueHeaders": many,
        "log": call.log.text(),
        "latency": int((ctx.now() - began) * 1000),
    }


def _call(ctx: Context, input: Input, compiled: Compiled, request: Request, stage: str = STAGE) -> Call:
    host, request_id = ctx.host, ctx.host.ids.uuid()
    live = Live(input["restApiId"], ctx.region, ctx.account, stage, "", input.get("stageVariables", {}), compiled, {})
    call = Call(host, live, request, request.path, request_id, extended_id(host), trace_id(host, None), DOMAIN, ctx.now())
    call.tested, call.principal, call.log = True, ctx.principal, ExecutionLog(host.clock, request_id)
    call.api_key = {"id": "test-invoke-api-key-id", "value": "test-invoke-api-key"}
    return call


@service.operation("TestInvokeAuthorizer", on("POST", AUTHORIZER))
async def test_invoke_authorizer(ctx: Context, input: Input) -> Output:
    draft = await load_draft(ctx.store, input["restApiId"], ctx.region)
    authorizer = None if draft is None else draft.authorizers.get(input["authorizerId"])
    if draft is None or authorizer is None:
        raise errors.no_authorizer()
    request = _request(input | {"httpMethod": "GET"}, "/", ctx)
    call = _call(ctx, input, compile_draft(draft), request, AUTHORIZER_STAGE)
    call.endpoint = Endpoint(draft.api["rootResourceId"], "/", "GET", {}, _nowhere)
    method_arn, began = call.live.arn(f"{AUTHORIZER_STAGE}/GET/"), ctx.now()
    assert isinstance(call.log, ExecutionLog)
    call.say(f"Starting authorizer: {authorizer['id']} for request: {call.request_id}")
    try:
        if authorizer["type"] == "COGNITO_USER_POOLS":
            return await _test_pools(call, authorizer, began)
        verdict = await consult(call, authorizer, method_arn)
    except Refused as refused:
        call.say(refused.why or "Unauthorized request: " + call.request_id)
        return {"clientStatus": refused.status, "log": call.log.text(), "latency": int((ctx.now() - began) * 1000)}
    tell_verdict(call, verdict)
    return {
        "clientStatus": 200,
        "log": call.log.text(),
        "latency": int((ctx.now() - began) * 1000),
        "principalId": verdict.context["principalId"],
        "policy": verdict.document,
        "authorization": {name: [value] for name, value in verdict.context.items() if name != "principalId"},
    }


async def _test_pools(call: Call, authorizer: Doc, began: float) -> Doc:
    token = look_up(call, authorizer.get("identitySource") or "method.request.header.Authorization") or ""
    claims = await verified(call, authorizer, token.removeprefix("Bearer ").strip(), tested=True)
    assert isinstance(call.log, ExecutionLog)
    call.say("Successfully completed authorizer execution.")
    return {
        "clientStatus": 200,
        "log": call.log.text(),
        "latency": int((call.host.clock.now() - began) * 1000),
        "claims": {name: shown(name, value) for name, value in claims.items()},
    }


async def _nowhere(call: Call) -> Response:
    """Behind an authorizer that is only tested, there is nothing."""
    raise Refused("RESOURCE_NOT_FOUND", "Not Found", "NotFoundException")
