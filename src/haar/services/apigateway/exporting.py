"""GetExport: a stage's API as a definition."""

from datetime import UTC, datetime

from haar.services.apigateway import errors
from haar.services.apigateway.demands import on
from haar.services.apigateway.face import service
from haar.services.apigateway.openapi.document import as_json, as_yaml
from haar.services.apigateway.openapi.writing import Writing
from haar.services.apigateway.records import LIVE, Doc, Draft, decode_draft, get_doc, read_draft
from haar.services.apigateway.stages import STAGE
from haar.services.service import Context, Input, Output

KINDS = ("swagger", "oas30")
JSON, YAML = "application/json", "application/yaml"
EXTENSIONS = frozenset(("integrations", "apigateway", "authorizers", "documentation", "postman"))


async def _stage(ctx: Context, api_id: str, name: str) -> Doc:
    await read_draft(ctx, api_id)
    stage = await get_doc(ctx.store, LIVE, api_id, f"stage/{name}")
    if stage is None:
        raise errors.no_stage()
    return stage


async def _snapshot(ctx: Context, api_id: str, stage: Doc) -> Draft:
    snapshot = await ctx.store.get(LIVE, api_id.encode(), f"snapshot/{stage['deploymentId']}".encode())
    if snapshot is None:
        raise errors.no_deployment()
    return decode_draft(snapshot)


async def deployed(ctx: Context, api_id: str, stage_name: str) -> Draft:
    """What a stage serves. Raises NotFoundException."""
    return await _snapshot(ctx, api_id, await _stage(ctx, api_id, stage_name))


@service.operation("GetExport", on("GET", STAGE + "/exports/{exportType}"))
async def get_export(ctx: Context, input: Input) -> Output:
    api_id, kind = input["restApiId"], input["exportType"]
    stage = await _stage(ctx, api_id, input["stageName"])
    if kind not in KINDS:
        raise errors.bad_request(f"No API exporter for type '{kind}'")
    accepts = input.get("accepts") or JSON
    if accepts not in (JSON, YAML, "*/*"):
        raise errors.bad_request(f"Invalid Accept header specified: {accepts}")
    draft = await _snapshot(ctx, api_id, stage)
    wanted = {one.strip() for one in str((input.get("parameters") or {}).get("extensions", "")).split(",")} & EXTENSIONS
    when = datetime.fromtimestamp(stage["lastUpdatedDate"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    version = str(draft.api.get("version") or when)
    definition = Writing(draft, kind == "swagger", wanted).whole(ctx.region, stage["stageName"], version)
    if accepts == YAML:
        body, ending = as_yaml(definition), "yaml"
    else:
        body, ending = as_json(definition).encode(), "json"
    return {
        "contentType": "application/octet-stream",
        "contentDisposition": f'attachment; filename="{kind}_{version}.{ending}"',
        "body": body,
    }
