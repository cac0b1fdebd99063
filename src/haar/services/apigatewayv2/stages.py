"""Stages: where a deployment is reached."""

import re

from haar.services.apigateway.public import ACCOUNT, docs, get_doc, leading_to, put_doc
from haar.services.apigatewayv2 import errors
from haar.services.apigatewayv2.dataplane.variables import known
from haar.services.apigatewayv2.demands import on
from haar.services.apigatewayv2.face import service
from haar.services.apigatewayv2.pages import of, page
from haar.services.apigatewayv2.records import LIVE, Doc, Draft, deploy_first, fresh, given, in_api, read_draft, renewed
from haar.services.service import Context, Input, Output
from haar.store.contract import Reader, Transaction

MAX_STAGES = 10
MEMBERS = (
    "AccessLogSettings", "AutoDeploy", "ClientCertificateId", "DefaultRouteSettings", "DeploymentId", "Description", "RouteSettings",
    "StageVariables",
)  # fmt: skip
STAGE = "/apis/{ApiId}/stages/{StageName}"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_VARIABLE = re.compile(r"[A-Za-z0-9_]+")
_LOGGED = re.compile(r"\$(?:\{context\.|context\.)([A-Za-z0-9_.\-]*[A-Za-z0-9_])")
_VALUE = re.compile(r"[A-Za-z0-9\-._~:/?#&=,]*")


def new_stage(api: Doc, name: str, now: int, settings: Doc) -> Doc:
    defaults: Doc = {
        "CreatedDate": now,
        "DefaultRouteSettings": {"DetailedMetricsEnabled": False},
        "LastUpdatedDate": now,
        "RouteSettings": {},
        "StageName": name,
        "StageVariables": {},
        "Tags": {},
    }
    if api["ProtocolType"] == "WEBSOCKET":
        defaults["DefaultRouteSettings"] |= {"DataTraceEnabled": False, "LoggingLevel": "OFF"}
    merged = defaults["DefaultRouteSettings"] | settings.get("DefaultRouteSettings", {})
    return defaults | settings | {"DefaultRouteSettings": merged}


def _check(draft: Draft, stage: Doc) -> None:
    for name, value in stage["StageVariables"].items():
        if not _VARIABLE.fullmatch(name):
            raise errors.bad_request(f"Invalid stage variable name: {name}")
        if not _VALUE.fullmatch(value):
            raise errors.bad_request(f"Invalid stage variable value: {value}")
    _check_access_log(stage.get("AccessLogSettings", {}), draft.api["ProtocolType"])
    keys = {route["RouteKey"] for route in draft.routes.values()}
    for key in stage["RouteSettings"]:
        if key not in keys:
            raise errors.not_found(f"Unable to find Route by key {key} within the provided RouteSettings")
    if draft.api["ProtocolType"] == "HTTP":
        for settings in (stage["DefaultRouteSettings"], *stage["RouteSettings"].values()):
            if settings.get("DataTraceEnabled") or settings.get("LoggingLevel", "OFF") != "OFF":
                raise errors.bad_request("Execution logs are not supported on protocolType HTTP")


def _check_access_log(settings: Doc, protocol: str) -> None:
    if "DestinationArn" in settings and not settings["DestinationArn"].startswith("arn:"):
        raise errors.bad_request("Invalid ARN specified in the request")
    if "\n" in settings.get("Format", "").rstrip("\r\n"):
        raise errors.bad_request("Access Log format must be single line, new line character is allowed only at end of the format")
    if protocol == "HTTP":
        named = [f"$context.{name}" for name in _LOGGED.findall(settings.get("Format", "")) if not known(name)]
        if named:
            raise errors.bad_request(f"The following context variables are not supported: [{', '.join(dict.fromkeys(named))}]")


async def _check_logging(ctx: Context, reader: Reader, draft: Draft, stage: Doc) -> None:
    """A WebSocket API's logs are written as the role that the account's settings name: without one there are none."""
    if draft.api["ProtocolType"] != "WEBSOCKET":
        return
    settings = (stage["DefaultRouteSettings"], *stage["RouteSettings"].values())
    logs = "AccessLogSettings" in stage or any(one.get("LoggingLevel", "OFF") != "OFF" for one in settings)
    if logs and not ((await get_doc(reader, ACCOUNT, ctx.region, "account")) or {}).get("cloudwatchRoleArn"):
        raise errors.bad_request("CloudWatch Logs role ARN must be set in account settings to enable logging")


async def _check_deployment(reader: Reader, api_id: str, deployment_id: str) -> None:
    if await get_doc(reader, LIVE, api_id, f"deployment/{deployment_id}") is None:
        raise errors.bad_request(f"Invalid deployment ID specified in request: {deployment_id}")


@service.operation("CreateStage", on("POST", "/apis/{ApiId}/stages"))
async def create_stage(ctx: Context, input: Input) -> Output:
    api_id, name, new = input["ApiId"], input["StageName"], fresh(ctx)

    async def run(tx: Transaction, draft: Draft) -> Doc:
        if not (_NAME.fullmatch(name) or (name == "$default" and draft.api["ProtocolType"] == "HTTP")):
            raise errors.bad_request("Stage name only allows a-zA-Z0-9_- or $default")
        if await get_doc(tx, LIVE, api_id, f"stage/{name}") is not None:
            raise errors.conflict("Stage already exists")
        if len(await docs(tx, LIVE, api_id, "stage/")) >= MAX_STAGES:
            raise errors.too_many(
                "Maximum number of stages for this API has been reached. Please contact AWS if you need additional stages."
            )
        stage = new_stage(draft.api, name, new.now, given(input, *MEMBERS, "Tags"))
        _check(draft, stage)
        await _check_logging(ctx, tx, draft, stage)
        if stage.get("AutoDeploy"):
            if "DeploymentId" in stage:
                raise errors.bad_request("Deployment ID cannot be set on a stage with AutoDeploy enabled")
        elif "DeploymentId" in stage:
            await _check_deployment(tx, api_id, stage["DeploymentId"])
        kept = deploy_first(tx, draft, stage, new) if stage.get("AutoDeploy") else stage
        put_doc(tx, LIVE, api_id, f"stage/{name}", kept)
        return stage  # of a deployment of its own it tells when it is asked next

    return await in_api(ctx, api_id, run)


async def find(reader: Reader, api_id: str, name: str) -> Doc:
    stage = await get_doc(reader, LIVE, api_id, f"stage/{name}")
    if stage is None:
        raise errors.not_found("Invalid stage identifier specified")
    return stage


@service.operation("GetStage", on("GET", STAGE))
async def get_stage(ctx: Context, input: Input) -> Output:
    await read_draft(ctx, input["ApiId"])
    return await find(ctx.store, input["ApiId"], input["StageName"])


@service.operation("GetStages", on("GET", "/apis/{ApiId}/stages"))
async def get_stages(ctx: Context, input: Input) -> Output:
    await read_draft(ctx, input["ApiId"])
    return page(await docs(ctx.store, LIVE, input["ApiId"], "stage/"), input, of("StageName"))


@service.operation("UpdateStage", on("PATCH", STAGE))
async def update_stage(ctx: Context, input: Input) -> Output:
    api_id, name, new = input["ApiId"], input["StageName"], fresh(ctx)

    async def run(tx: Transaction, draft: Draft) -> Doc:
        old = await find(tx, api_id, name)
        changes = given(input, *MEMBERS)
        if "StageVariables" in changes:  # an empty value takes a variable away
            merged = old["StageVariables"] | changes["StageVariables"]
            changes["StageVariables"] = {key: value for key, value in merged.items() if value}
        for member in ("RouteSettings", "DefaultRouteSettings"):
            if member in changes:
                changes[member] = old[member] | changes[member]
        stage = renewed(old, changes, *MEMBERS) | {"LastUpdatedDate": new.now}
        _check(draft, stage)
        await _check_logging(ctx, tx, draft, stage)
        if stage.get("AutoDeploy"):
            if "DeploymentId" in changes:
                raise errors.bad_request("Deployment ID cannot be set on a stage with AutoDeploy enabled")
        elif "DeploymentId" in changes:
            await _check_deployment(tx, api_id, stage["DeploymentId"])
        begins = stage.get("AutoDeploy") and not old.get("AutoDeploy")
        put_doc(tx, LIVE, api_id, f"stage/{name}", deploy_first(tx, draft, stage, new) if begins else stage)
        return stage

    return await in_api(ctx, api_id, run)


@service.operation("DeleteStage", on("DELETE", STAGE))
async def delete_stage(ctx: Context, input: Input) -> Output:
    async def run(tx: Transaction, draft: Draft) -> None:
        name = (await find(tx, input["ApiId"], input["StageName"]))["StageName"]
        if await leading_to(tx, ctx.region, input["ApiId"], name):
            raise errors.bad_request(
                f"Deleting stage {name} failed. Please remove all API mappings for the stage from your custom domain names."
            )
        tx.delete(LIVE, input["ApiId"].encode(), f"stage/{input['StageName']}".encode())

    await in_api(ctx, input["ApiId"], run)
    return {}


@service.operation("DeleteAccessLogSettings", on("DELETE", STAGE + "/accesslogsettings"))
async def delete_access_log_settings(ctx: Context, input: Input) -> Output:
    async def run(tx: Transaction, draft: Draft) -> None:
        stage = await find(tx, input["ApiId"], input["StageName"])
        stage.pop("AccessLogSettings", None)
        put_doc(tx, LIVE, input["ApiId"], f"stage/{input['StageName']}", stage)

    await in_api(ctx, input["ApiId"], run)
    return {}


@service.operation("DeleteRouteSettings", on("DELETE", STAGE + "/routesettings/{RouteKey}"))
async def delete_route_settings(ctx: Context, input: Input) -> Output:
    async def run(tx: Transaction, draft: Draft) -> None:
        stage = await find(tx, input["ApiId"], input["StageName"])
        if stage["RouteSettings"].pop(input["RouteKey"], None) is None:
            raise errors.not_found(f"Unable to find Route by key {input['RouteKey']} within the provided RouteSettings")
        put_doc(tx, LIVE, input["ApiId"], f"stage/{input['StageName']}", stage)

    await in_api(ctx, input["ApiId"], run)
    return {}
