"""Stages: a name under which a deployment is served, with its settings and variables."""

import re

from haar.services.apigateway import errors
from haar.services.apigateway.dataplane.authorizers import Verdicts
from haar.services.apigateway.dataplane.logs import group_of
from haar.services.apigateway.demands import on
from haar.services.apigateway.face import service
from haar.services.apigateway.patch import Entries, Rules, Value, apply, boolean, integer, json_map, number, one_of, text_or_none
from haar.services.apigateway.records import ACCOUNT, LIVE, Doc, Draft, docs, get_doc, in_api, put_doc, read_draft
from haar.services.service import Context, Input, Output
from haar.store.contract import Transaction
from haar.wire.errors import ServiceError

NAME = re.compile(r"[A-Za-z0-9_-]+")
VARIABLE_NAME = re.compile(r"[A-Za-z0-9_]+")
VARIABLE_VALUE = re.compile(r"[A-Za-z0-9\-._~:/?#&=,]*")
STAGE = "/restapis/{restApiId}/stages/{stageName}"
LEVELS = ("OFF", "ERROR", "INFO")
STRATEGIES = ("FAIL_WITH_403", "SUCCEED_WITH_RESPONSE_HEADER", "SUCCEED_WITHOUT_RESPONSE_HEADER")
OVERRIDES = "/canarySettings/stageVariableOverrides"
CANARY_ONLY_REPLACED = ("/canarySettings/deploymentId", "/canarySettings/percentTraffic", "/canarySettings/useStageCache")
SIZES = ("0.5", "1.6", "6.1", "13.5", "28.4", "58.2", "118", "237")

DEFAULT_SETTING: Doc = {
    "metricsEnabled": False,
    "dataTraceEnabled": False,
    "throttlingBurstLimit": 5000,
    "throttlingRateLimit": 10000.0,
    "cachingEnabled": False,
    "cacheTtlInSeconds": 300,
    "cacheDataEncrypted": False,
    "requireAuthorizationForCacheControl": True,
    "unauthorizedCacheControlHeaderStrategy": "SUCCEED_WITH_RESPONSE_HEADER",
}
RULES: Rules = {
    "/deploymentId": Value(),
    "/description": Value(text_or_none, ("add", "replace", "remove")),
    "/cacheClusterEnabled": Value(boolean),
    "/cacheClusterSize": Value(one_of("Invalid cache cluster size specified. Valid options are " + ",".join(SIZES), *SIZES)),
    "/clientCertificateId": Value(text_or_none, ("add", "replace", "remove")),
    "/accessLogSettings": Value(text_or_none, ("remove",)),
    "/accessLogSettings/destinationArn": Value(text_or_none, ("add", "replace", "remove")),
    "/accessLogSettings/format": Value(text_or_none, ("add", "replace", "remove")),
    "/variables": Entries(missing="Invalid stage variable name specified", fresh=True),
    "/tracingEnabled": Value(boolean),
    "/documentationVersion": Value(text_or_none),
    "/webAclArn": Value(text_or_none),
    "/canarySettings": Value(text_or_none, ("remove",)),
    "/canarySettings/percentTraffic": Value(number()),
    "/canarySettings/deploymentId": Value(),
    "/canarySettings/useStageCache": Value(boolean),
    OVERRIDES: Entries(missing="Invalid stage variable name specified", fresh=True),
}
SETTING_RULES: Rules = {
    "/metrics/enabled": Value(boolean, at="/metricsEnabled"),
    "/logging/dataTrace": Value(boolean, at="/dataTraceEnabled"),
    "/logging/loglevel": Value(one_of("Invalid logging level specified. Valid options are OFF,ERROR,INFO", *LEVELS), at="/loggingLevel"),
    "/throttling/burstLimit": Value(integer("Invalid burst limit specified", -1), at="/throttlingBurstLimit"),
    "/throttling/rateLimit": Value(number("Invalid rate limit specified"), at="/throttlingRateLimit"),
    "/caching/enabled": Value(boolean, at="/cachingEnabled"),
    "/caching/ttlInSeconds": Value(integer("Invalid cache TTL specified, must be between 0 and 3600", 0, 3600), at="/cacheTtlInSeconds"),
    "/caching/dataEncrypted": Value(boolean, at="/cacheDataEncrypted"),
    "/caching/requireAuthorizationForCacheControl": Value(boolean, at="/requireAuthorizationForCacheControl"),
    "/caching/unauthorizedCacheControlHeaderStrategy": Value(
        one_of("Invalid strategy specified", *STRATEGIES), at="/unauthorizedCacheControlHeaderStrategy"
    ),
}
_EACH = "/{resourcePath}/{httpMethod}"
PATHS = (
    "[/deploymentId, /description, /cacheClusterEnabled, /cacheClusterSize, /clientCertificateId, /accessLogSettings, "
    "/accessLogSettings/destinationArn, /accessLogSettings/format, "
    f"{_EACH}/metrics/enabled, {_EACH}/logging/dataTrace, {_EACH}/logging/loglevel, {_EACH}/throttling/burstLimit"
    f"{_EACH}/throttling/rateLimit{_EACH}/caching/ttlInSeconds, {_EACH}/caching/enabled, {_EACH}/caching/dataEncrypted, "
    f"{_EACH}/caching/requireAuthorizationForCacheControl, {_EACH}/caching/unauthorizedCacheControlHeaderStrategy, "
    "/*/*/metrics/enabled, /*/*/logging/dataTrace, /*/*/logging/loglevel, /*/*/throttling/burstLimit /*/*/throttling/rateLimit "
    "/*/*/caching/ttlInSeconds, /*/*/caching/enabled, /*/*/caching/dataEncrypted, /*/*/caching/requireAuthorizationForCacheControl, "
    "/*/*/caching/unauthorizedCacheControlHeaderStrategy, /variables/{variable_name}, /tracingEnabled]"
)


def new_stage(given: Doc, now: int) -> Doc:
    """A stage from what was given of it. Raises BadRequestException."""
    name = given["stageName"]
    if not NAME.fullmatch(name):
        raise errors.bad_request("Stage name only allows a-zA-Z0-9_-")
    check_variables(given.get("variables", {}))
    enabled = given.get("cacheClusterEnabled", False)
    stage = {
        "cacheClusterEnabled": enabled,
        "cacheClusterStatus": "AVAILABLE" if enabled else "NOT_AVAILABLE",
        "methodSettings": {},
        "tracingEnabled": False,
        "createdDate": now,
        "lastUpdatedDate": now,
    } | given
    if enabled:
        stage.setdefault("cacheClusterSize", "0.5")
    if "canarySettings" in stage:
        stage["canarySettings"] = new_canary({"deploymentId": stage["deploymentId"]} | stage["canarySettings"])
    return stage


def new_canary(given: Doc) -> Doc:
    """The settings of a canary with what was not given of them. Raises BadRequestException."""
    canary: Doc = {"percentTraffic": 0.0, "useStageCache": False} | given
    if not 0 <= canary["percentTraffic"] <= 100:
        raise errors.bad_request("Percent traffic must be between 0.0 and 100.0")
    check_variables(canary.get("stageVariableOverrides", {}))
    return canary


def check_variables(variables: Doc) -> None:
    for name, value in variables.items():
        if not VARIABLE_NAME.fullmatch(name):
            raise errors.bad_request(f"Stage variable name {name!r} only allows a-zA-Z0-9_")
        if not VARIABLE_VALUE.fullmatch(value):
            symbols = "' ', -', '.', '_', ':', '/', '?', '&', '=', and ','"
            raise errors.bad_request(
                f"Invalid stage variable value: {value}. Please use values with alphanumeric characters and the symbols {symbols}."
            )


@service.operation("CreateStage", on("POST", "/restapis/{restApiId}/stages"))
async def create_stage(ctx: Context, input: Input) -> Output:
    api_id, now = input["restApiId"], int(ctx.now())
    members = (
        "stageName",
        "deploymentId",
        "description",
        "cacheClusterEnabled",
        "cacheClusterSize",
        "variables",
        "documentationVersion",
        "canarySettings",
        "tracingEnabled",
        "tags",
    )
    given = {member: input[member] for member in members if input.get(member) not in (None, {}, "")}

    async def run(tx: Transaction, draft: Draft) -> Doc:
        stage = new_stage(given, now)
        if await get_doc(tx, LIVE, api_id, f"deployment/{input['deploymentId']}") is None:
            raise errors.bad_request("Invalid deployment ID specified in request")
        if await get_doc(tx, LIVE, api_id, f"stage/{input['stageName']}") is not None:
            raise errors.conflict("Stage already exists")
        put_doc(tx, LIVE, api_id, f"stage/{input['stageName']}", stage)
        return stage

    return await in_api(ctx, api_id, run)


@service.operation("GetStage", on("GET", STAGE))
async def get_stage(ctx: Context, input: Input) -> Output:
    await read_draft(ctx, input["restApiId"])
    stage = await get_doc(ctx.store, LIVE, input["restApiId"], f"stage/{input['stageName']}")
    if stage is None:
        raise errors.no_stage()
    return stage


@service.operation("GetStages", on("GET", "/restapis/{restApiId}/stages"))
async def get_stages(ctx: Context, input: Input) -> Output:
    await read_draft(ctx, input["restApiId"])
    found = await docs(ctx.store, LIVE, input["restApiId"], "stage/")
    wanted = input.get("deploymentId")
    return {"item": [stage for stage in found if wanted is None or stage["deploymentId"] == wanted]}


def no_setting(path: str) -> ServiceError:
    return errors.bad_request(f"Cannot remove method setting {path} because there is no method setting for this method ")


def patch_stage(stage: Doc, operations: list[Doc]) -> Doc:
    """The stage with all operations applied. Pure."""
    for operation in operations:
        path, op = operation.get("path") or "", operation.get("op")
        if op == "copy":
            stage = _promote(stage, path, operation.get("from") or "")
            continue
        parts = path.split("/")
        if op == "remove" and path.startswith("/canarySettings/") and not path.startswith(OVERRIDES + "/"):
            raise no_setting(path[1:])
        if op == "add" and path in CANARY_ONLY_REPLACED:
            raise errors.bad_request(f"Invalid add operation with path: {path}")
        if path == OVERRIDES and op == "replace":
            given = {name: str(value) for name, value in json_map(operation.get("value")).items()}
            stage = stage | {"canarySettings": stage.get("canarySettings", {}) | {"stageVariableOverrides": given}}
        elif path in RULES or path.rpartition("/")[0] in ("/variables", OVERRIDES):
            stage = apply(stage, [operation], RULES)
        elif len(parts) == 5 and (rest := f"/{parts[3]}/{parts[4]}") in SETTING_RULES:
            settings = dict(stage["methodSettings"])
            key = f"{parts[1]}/{parts[2]}"
            settings[key] = apply(settings.get(key, DEFAULT_SETTING), [operation | {"path": rest}], SETTING_RULES)
            stage = stage | {"methodSettings": settings}
        elif len(parts) == 3 and op == "remove":
            settings = dict(stage["methodSettings"])
            if settings.pop(path[1:], None) is None:
                raise no_setting(path[1:])
            stage = stage | {"methodSettings": settings}
        else:
            raise errors.bad_request(f"Invalid method setting path: {path}. Must be one of: {PATHS}")
    check_variables(stage.get("variables", {}))
    if "canarySettings" in stage:
        stage["canarySettings"] = new_canary({"deploymentId": stage["deploymentId"]} | stage["canarySettings"])
    if "accessLogSettings" in stage:
        _check_access_log(stage["accessLogSettings"])
    return stage


def _check_access_log(settings: Doc) -> None:
    if settings.get("destinationArn") and group_of(settings["destinationArn"]) is None:
        raise errors.bad_request("Invalid ARN specified in the request. The destination of an access log is a CloudWatch log group")
    if "\n" in settings.get("format", "").rstrip("\r\n"):
        raise errors.bad_request("Access Log format must be single line, new line character is allowed only at end of the format")


def logs(stage: Doc) -> bool:
    """Whether the stage writes a log."""
    levels = {one.get("loggingLevel", "OFF") for one in stage["methodSettings"].values()}
    return bool(stage.get("accessLogSettings", {}).get("destinationArn")) or bool(levels - {"OFF"})


def _promote(stage: Doc, path: str, source: str) -> Doc:
    """Copies from the canary to the stage: how a canary is promoted."""
    canary = stage.get("canarySettings", {})
    if path == "/deploymentId" and source == "/canarySettings/deploymentId" and "deploymentId" in canary:
        return stage | {"deploymentId": canary["deploymentId"]}
    if path == "/variables" and source == "/canarySettings/stageVariableOverrides":
        return stage | {"variables": stage.get("variables", {}) | canary.get("stageVariableOverrides", {})}
    raise errors.bad_request("Invalid copy operation with path: " + path + " and from: " + source)


@service.operation("UpdateStage", on("PATCH", STAGE))
async def update_stage(ctx: Context, input: Input) -> Output:
    api_id, now, key = input["restApiId"], int(ctx.now()), f"stage/{input['stageName']}"

    async def run(tx: Transaction, draft: Draft) -> Doc:
        old = await get_doc(tx, LIVE, api_id, key)
        if old is None:
            raise errors.no_stage()
        stage = patch_stage(old, input.get("patchOperations", [])) | {"lastUpdatedDate": now}
        if await get_doc(tx, LIVE, api_id, f"deployment/{stage['deploymentId']}") is None:
            raise errors.bad_request("Invalid deployment ID specified in request")
        stage["cacheClusterStatus"] = "AVAILABLE" if stage["cacheClusterEnabled"] else "NOT_AVAILABLE"
        if stage["cacheClusterEnabled"]:
            stage.setdefault("cacheClusterSize", "0.5")
        if logs(stage) and not logs(old) and not (await get_doc(tx, ACCOUNT, ctx.region, "account") or {}).get("cloudwatchRoleArn"):
            raise errors.bad_request("CloudWatch Logs role ARN must be set in account settings to enable logging")
        put_doc(tx, LIVE, api_id, key, stage)
        return stage

    return await in_api(ctx, api_id, run)


async def _check_stage(ctx: Context, input: Input) -> None:
    await read_draft(ctx, input["restApiId"])
    if await get_doc(ctx.store, LIVE, input["restApiId"], f"stage/{input['stageName']}") is None:
        raise errors.no_stage()


@service.operation("FlushStageAuthorizersCache", on("DELETE", STAGE + "/cache/authorizers"))
async def flush_stage_authorizers_cache(ctx: Context, input: Input) -> Output:
    await _check_stage(ctx, input)
    ctx.host.get(Verdicts).forget(input["restApiId"], input["stageName"])
    return {}


@service.operation("FlushStageCache", on("DELETE", STAGE + "/cache/data"))
async def flush_stage_cache(ctx: Context, input: Input) -> Output:
    """What the cache holds of the stage is never found again: the keys have this mark in them, on every node."""
    api_id, name, mark = input["restApiId"], input["stageName"], ctx.host.ids.text(8)

    async def run(tx: Transaction, draft: Draft) -> None:
        if await get_doc(tx, LIVE, api_id, f"stage/{name}") is None:
            raise errors.no_stage()
        tx.put(LIVE, api_id.encode(), f"flush/{name}".encode(), mark.encode())

    await in_api(ctx, api_id, run)
    return {}


@service.operation("DeleteStage", on("DELETE", STAGE))
async def delete_stage(ctx: Context, input: Input) -> Output:
    api_id = input["restApiId"]

    async def run(tx: Transaction, draft: Draft) -> None:
        if await get_doc(tx, LIVE, api_id, f"stage/{input['stageName']}") is None:
            raise errors.no_stage()
        tx.delete(LIVE, api_id.encode(), f"stage/{input['stageName']}".encode())

    await in_api(ctx, api_id, run)
    return {}
