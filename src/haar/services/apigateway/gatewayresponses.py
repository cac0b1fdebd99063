"""Gateway responses: what an API answers itself."""

import re

from haar.services.apigateway import errors
from haar.services.apigateway.dataplane.answers import DEFAULT_TEMPLATE, STATUSES, TYPES, default_response
from haar.services.apigateway.demands import on
from haar.services.apigateway.face import service
from haar.services.apigateway.integrations import SOURCE
from haar.services.apigateway.methods import NO_CONTENT_TYPE, STATUS
from haar.services.apigateway.pages import page
from haar.services.apigateway.patch import Entries, Rules, Value, apply
from haar.services.apigateway.records import Doc, Draft, change_draft, read_draft
from haar.services.service import Context, Input, Output

TARGET = re.compile(r"gatewayresponse\.header\.\S+")
RESPONSE = "/restapis/{restApiId}/gatewayresponses/{responseType}"
RULES: Rules = {
    "/statusCode": Value(),
    "/responseParameters": Entries(),
    "/responseTemplates": Entries(missing=NO_CONTENT_TYPE),
}


def show(kind: str, kept: Doc) -> Doc:
    """A response that was set, with what was not set of it."""
    status = kept.get("statusCode") or (str(STATUSES[kind]) if kind in STATUSES else None)
    shown: Doc = {
        "responseType": kind,
        "responseParameters": kept.get("responseParameters", {}),
        "responseTemplates": kept.get("responseTemplates", {"application/json": DEFAULT_TEMPLATE}),
        "defaultResponse": False,
    }
    return shown if status is None else shown | {"statusCode": status}


def check_response(kept: Doc) -> None:
    if "statusCode" in kept and not STATUS.fullmatch(kept["statusCode"]):
        raise errors.bad_request("Invalid status code specified. Status code must be a 3 digit number between 100 and 599")
    for target, source in kept.get("responseParameters", {}).items():
        if not TARGET.fullmatch(target):
            raise errors.bad_mapping(target)
        if not SOURCE.fullmatch(source) or source.startswith("method.request.body"):
            raise errors.bad_mapping(source)


@service.operation("PutGatewayResponse", on("PUT", RESPONSE))
async def put_gateway_response(ctx: Context, input: Input) -> Output:
    kind = input["responseType"]
    kept = {member: input[member] for member in ("statusCode", "responseParameters", "responseTemplates") if input.get(member)}
    check_response(kept)

    def change(draft: Draft) -> None:
        draft.gateway_responses[kind] = kept

    await change_draft(ctx, input["restApiId"], change)
    return show(kind, kept)


def _shown(draft: Draft, kind: str) -> Doc:
    kept = draft.gateway_responses.get(kind)
    return default_response(kind, draft.gateway_responses) if kept is None else show(kind, kept)


@service.operation("GetGatewayResponse", on("GET", RESPONSE))
async def get_gateway_response(ctx: Context, input: Input) -> Output:
    return _shown(await read_draft(ctx, input["restApiId"]), input["responseType"])


@service.operation("GetGatewayResponses", on("GET", "/restapis/{restApiId}/gatewayresponses"))
async def get_gateway_responses(ctx: Context, input: Input) -> Output:
    draft = await read_draft(ctx, input["restApiId"])
    return page([_shown(draft, kind) for kind in TYPES], input, lambda one: str(one["responseType"]))


@service.operation("UpdateGatewayResponse", on("PATCH", RESPONSE))
async def update_gateway_response(ctx: Context, input: Input) -> Output:
    kind, operations = input["responseType"], input.get("patchOperations", [])

    def change(draft: Draft) -> Doc:
        for operation in operations:
            if operation.get("path") == "/statusCode" and operation.get("op") != "replace":
                raise errors.bad_request("Invalid patch path /statusCode")
        kept = apply(draft.gateway_responses.get(kind, {}), operations, RULES)
        check_response(kept)
        draft.gateway_responses[kind] = kept
        return show(kind, kept)

    return await change_draft(ctx, input["restApiId"], change)


@service.operation("DeleteGatewayResponse", on("DELETE", RESPONSE))
async def delete_gateway_response(ctx: Context, input: Input) -> Output:
    def change(draft: Draft) -> None:
        if draft.gateway_responses.pop(input["responseType"], None) is None:
            raise errors.not_found("Gateway response type not defined on api")

    await change_draft(ctx, input["restApiId"], change)
    return {}
