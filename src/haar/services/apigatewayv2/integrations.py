"""Integrations: what is behind routes."""

import re
from typing import Any

from haar.services.apigateway import public as rest
from haar.services.apigatewayv2 import errors, subtypes
from haar.services.apigatewayv2.demands import on, pass_role
from haar.services.apigatewayv2.face import service
from haar.services.apigatewayv2.mappings import check_request, check_response, check_socket_request
from haar.services.apigatewayv2.pages import of, page
from haar.services.apigatewayv2.records import Doc, Draft, change, given, read_draft, renewed
from haar.services.service import Context, Input, Output

MAX_INTEGRATIONS = 300
ID_LETTERS = 7
MIN_TIMEOUT, MAX_TIMEOUT = 50, {"HTTP": 30_000, "WEBSOCKET": 29_000}
MEMBERS = (
    "ConnectionId", "ConnectionType", "ContentHandlingStrategy", "CredentialsArn", "Description", "IntegrationMethod", "IntegrationSubtype",
    "IntegrationType", "IntegrationUri", "PassthroughBehavior", "PayloadFormatVersion", "RequestParameters", "RequestTemplates",
    "ResponseParameters", "TemplateSelectionExpression", "TimeoutInMillis", "TlsConfig",
)  # fmt: skip
FUNCTION_ARN = re.compile(r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:.+")
BY_STATUS, BY_ERROR = "${integration.response.statuscode}", "${integration.response.body.errorMessage}"
"""What selects among the integration responses of WebSocket APIs."""
_VARIABLE = re.compile(r"\$\{stageVariables\.[^}]+\}")


def function_of(uri: str) -> str | None:
    """The ARN of the function (stage variables may stand in it) that an integration's URI names; None when it names none."""
    if matched := rest.FUNCTION.fullmatch(uri):
        return matched[1]
    return uri if FUNCTION_ARN.fullmatch(uri) else None


def complete(draft: Draft, integration: Doc) -> Doc:
    """The integration with what AWS fills in. Raises BadRequestException unless it could run."""
    protocol, kind = draft.api["ProtocolType"], integration["IntegrationType"]
    integration = dict[str, Any](ConnectionType="INTERNET", TimeoutInMillis=MAX_TIMEOUT[protocol]) | integration
    if not MIN_TIMEOUT <= integration["TimeoutInMillis"] <= MAX_TIMEOUT[protocol]:
        raise errors.bad_request(f"Timeout should be between {MIN_TIMEOUT} ms and {MAX_TIMEOUT[protocol]} ms")
    if integration["ConnectionType"] == "VPC_LINK" and "ConnectionId" not in integration:
        raise errors.bad_request("ConnectionId must be set to a valid VpcLink when ConnectionType is VPC_LINK")
    if protocol == "HTTP":
        return _http(integration, kind)
    return _websocket(integration, kind)


def _http(integration: Doc, kind: str) -> Doc:
    if kind not in ("AWS_PROXY", "HTTP_PROXY"):
        raise errors.bad_request(
            "Currently, an API with a protocol type of HTTP may only be associated with proxy integrations (AWS_PROXY, HTTP_PROXY)"
        )
    uri, version = integration.get("IntegrationUri", ""), integration.get("PayloadFormatVersion")
    if not version:
        raise errors.bad_request("PayloadFormatVersion is a required parameter for integration")
    allowed = ("1.0", "2.0") if kind == "AWS_PROXY" and "IntegrationSubtype" not in integration else ("1.0",)
    if version not in allowed:
        raise errors.bad_request(f"Invalid payloadFormatVersion. Valid values: [{', '.join(allowed)}]")
    if kind == "HTTP_PROXY":
        if "IntegrationMethod" not in integration:
            raise errors.bad_request("HttpMethod is required for this integration type")
        if integration["ConnectionType"] == "INTERNET" and not re.match(r"https?://[^\s/]+", _VARIABLE.sub("x", uri)):
            raise errors.bad_request("Invalid HTTP endpoint specified for URI")
    elif "IntegrationSubtype" not in integration:
        integration = dict[str, Any](IntegrationMethod="POST") | integration
        if function_of(uri) is None and not uri.startswith("${stageVariables."):
            raise errors.bad_request("Invalid function ARN or invalid uri")
    else:
        if "CredentialsArn" not in integration:
            raise errors.bad_request("CredentialsArn is required for AWS service integrations")
        subtypes.check(integration)
    if "IntegrationSubtype" not in integration:
        check_request(integration.get("RequestParameters", {}))
    check_response(integration.get("ResponseParameters", {}))
    return integration


def _websocket(integration: Doc, kind: str) -> Doc:
    uri = integration.get("IntegrationUri", "")
    by = BY_ERROR if kind == "AWS" and function_of(uri) is not None else BY_STATUS
    integration = dict[str, Any](integration, IntegrationResponseSelectionExpression=by)
    integration = dict[str, Any](PassthroughBehavior="WHEN_NO_MATCH", PayloadFormatVersion="1.0") | integration
    if integration["PayloadFormatVersion"] != "1.0":
        raise errors.bad_request("Invalid payloadFormatVersion. Valid values: [1.0]")
    check_socket_request(integration.get("RequestParameters", {}))
    if kind in ("HTTP", "HTTP_PROXY"):
        if not re.match(r"https?://[^\s/]+", _VARIABLE.sub("x", uri)):
            raise errors.bad_request("Invalid HTTP endpoint specified for URI")
        return {"IntegrationMethod": "POST"} | integration
    if kind in ("AWS", "AWS_PROXY"):
        if not uri.startswith("arn:"):
            raise errors.bad_request("Invalid ARN specified in the request")
        return {"IntegrationMethod": "POST"} | integration
    return integration


@service.operation("CreateIntegration", on("POST", "/apis/{ApiId}/integrations", pass_role("CredentialsArn")))
async def create_integration(ctx: Context, input: Input) -> Output:
    integration_id = ctx.host.ids.text(ID_LETTERS)

    def edit(draft: Draft) -> Doc:
        if len(draft.integrations) >= MAX_INTEGRATIONS:
            raise errors.full("Integrations")
        made = complete(draft, {"IntegrationId": integration_id} | given(input, *MEMBERS))
        draft.integrations[integration_id] = made
        return made

    return await change(ctx, input["ApiId"], edit)


def find(draft: Draft, integration_id: str) -> Doc:
    integration = draft.integrations.get(integration_id)
    if integration is None:
        raise errors.missing("Integration", integration_id)
    return integration


@service.operation("GetIntegration", on("GET", "/apis/{ApiId}/integrations/{IntegrationId}"))
async def get_integration(ctx: Context, input: Input) -> Output:
    return find(await read_draft(ctx, input["ApiId"]), input["IntegrationId"])


@service.operation("GetIntegrations", on("GET", "/apis/{ApiId}/integrations"))
async def get_integrations(ctx: Context, input: Input) -> Output:
    draft = await read_draft(ctx, input["ApiId"])
    return page(sorted(draft.integrations.values(), key=of("IntegrationId")), input, of("IntegrationId"))


@service.operation("UpdateIntegration", on("PATCH", "/apis/{ApiId}/integrations/{IntegrationId}", pass_role("CredentialsArn")))
async def update_integration(ctx: Context, input: Input) -> Output:
    def edit(draft: Draft) -> Doc:
        old = find(draft, input["IntegrationId"])
        new = given(input, *MEMBERS)
        for member in ("RequestParameters", "ResponseParameters"):
            if member in new:  # an empty value takes a parameter away
                merged = old.get(member, {}) | new[member]
                new[member] = {name: value for name, value in merged.items() if value not in ("", {})}
        changed = complete(draft, renewed(old, new, *MEMBERS))
        draft.integrations[input["IntegrationId"]] = changed
        return changed

    return await change(ctx, input["ApiId"], edit)


@service.operation("DeleteIntegration", on("DELETE", "/apis/{ApiId}/integrations/{IntegrationId}"))
async def delete_integration(ctx: Context, input: Input) -> Output:
    target = f"integrations/{input['IntegrationId']}"

    def edit(draft: Draft) -> None:
        find(draft, input["IntegrationId"])
        users = [route["RouteId"] for route in draft.routes.values() if route.get("Target") == target]
        if users:
            raise errors.conflict(
                f"Cannot delete Integration because it is referenced by the following Routes with Ids: [{', '.join(users)}]"
            )
        del draft.integrations[input["IntegrationId"]]
        draft.integration_responses.pop(input["IntegrationId"], None)

    await change(ctx, input["ApiId"], edit)
    return {}
