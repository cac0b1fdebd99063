"""ImportApi, ReimportApi, ExportApi: HTTP APIs from OpenAPI 3.0 definitions, and back."""

from collections.abc import Sequence

import orjson

from haar.services.apigateway import public as rest
from haar.services.apigatewayv2 import errors
from haar.services.apigatewayv2.apis import check, new_api, put_live, put_new, show
from haar.services.apigatewayv2.demands import on
from haar.services.apigatewayv2.face import service
from haar.services.apigatewayv2.openapi.reading import Reading
from haar.services.apigatewayv2.openapi.writing import write
from haar.services.apigatewayv2.records import LIVE, Doc, Draft, decode_draft, deploy_automatically, fresh, in_api, put_draft, read_draft
from haar.services.apigatewayv2.stages import find as find_stage
from haar.services.service import Context, Demand, Input, Output
from haar.store.contract import Transaction
from haar.wire.errors import ServiceError

BASE_PATHS = ("ignore", "prepend", "split")
INVALID = "Invalid OpenAPI input."
RESET = ("CorsConfiguration", "Description", "Version")
"""Settings that an API has from its definition only."""


async def _parsed(ctx: Context, body: str) -> rest.Document:
    """The definition. Raises BadRequestException for what is none, or not of OpenAPI 3.0."""
    document = await rest.read_definition(ctx, body.encode())
    if document.swagger:
        raise errors.bad_request(f"{INVALID} Only OpenAPI 3.0 definitions are supported for HTTP APIs")
    return document


async def _demands(ctx: Context, input: Input, path: str) -> Sequence[Demand]:
    plain = on("PUT", path)(ctx, {name: value for name, value in input.items() if name != "Body"})
    found = list(plain if isinstance(plain, Sequence) else await plain)
    try:
        document = await _parsed(ctx, input["Body"])
        found.extend(rest.passing(ctx, list(rest.roles_in(document.raw))))
        draft, _ = _drafted(ctx, document, input)
    except ServiceError:
        return found  # the operation itself says what is wrong with it
    asked = rest.defined("apis", draft.api, draft.routes.values(), draft.authorizers.values())
    found[0].conditions = {**found[0].conditions, **asked}
    return found


async def _import_demands(ctx: Context, input: Input) -> Sequence[Demand]:
    return await _demands(ctx, input, "/apis")


async def _reimport_demands(ctx: Context, input: Input) -> Sequence[Demand]:
    return await _demands(ctx, input, "/apis/{ApiId}")


def _read(ctx: Context, document: rest.Document, draft: Draft, input: Input, former: dict[str, str]) -> Doc:
    """Puts the definition into a draft without parts; what is to be said of it. Raises BadRequestException with all that is wrong."""
    base_path = str(input.get("Basepath") or "ignore").lower()
    if base_path not in BASE_PATHS:
        raise errors.bad_request(f"Invalid basepath parameter specified. Must be one of: [{', '.join(BASE_PATHS)}]")
    reading = Reading(document, draft, ctx.host.ids.text, former)
    reading.read(base_path)
    reading.settle(bool(input.get("FailOnWarnings")))
    check(draft.api)
    said = {"ImportInfo": reading.info, "Warnings": reading.warnings}
    return {member: told for member, told in said.items() if told}


def _drafted(ctx: Context, document: rest.Document, input: Input) -> tuple[Draft, Doc]:
    """The definition as a new API, and what is to be said of it."""
    draft = Draft(ctx.region, new_api(ctx, {"ProtocolType": "HTTP", "Name": str(document.info.get("title") or "-")}))
    return draft, _read(ctx, document, draft, input, {})


@service.operation("ImportApi", _import_demands)
async def import_api(ctx: Context, input: Input) -> Output:
    draft, said = _drafted(ctx, await _parsed(ctx, input["Body"]), input)
    return await put_new(ctx, draft, quick=False) | said


@service.operation("ReimportApi", _reimport_demands)
async def reimport_api(ctx: Context, input: Input) -> Output:
    """Puts a definition in place of all that an API has; its stages stay."""
    document, new = await _parsed(ctx, input["Body"]), fresh(ctx)

    async def run(tx: Transaction, old: Draft) -> tuple[Doc, Doc]:
        if old.api["ProtocolType"] != "HTTP":
            raise errors.bad_request("Import is only supported for HTTP protocol type")
        kept = {member: value for member, value in old.api.items() if member not in RESET}
        draft = Draft(ctx.region, kept | {"DisableExecuteApiEndpoint": False})
        said = _read(ctx, document, draft, input, {route["RouteKey"]: route["RouteId"] for route in old.routes.values()})
        put_draft(tx, draft)
        put_live(tx, draft)
        await deploy_automatically(tx, draft, new)
        return draft.api, said

    api, said = await in_api(ctx, input["ApiId"], run)
    return await show(ctx, api) | said


@service.operation("ExportApi", on("GET", "/apis/{ApiId}/exports/{Specification}"))
async def export_api(ctx: Context, input: Input) -> Output:
    """The definition of a stage's deployment, or of the API as it is now."""
    api_id, name, kind = input["ApiId"], input.get("StageName"), input["OutputType"]
    draft = await read_draft(ctx, api_id)
    if draft.api["ProtocolType"] != "HTTP":
        raise errors.bad_request("Export is only supported for HTTP protocol type")
    if input["Specification"] != "OAS30":
        raise errors.bad_request("Invalid specification. Valid values: [OAS30]")
    if kind not in ("JSON", "YAML"):
        raise errors.bad_request("Invalid outputType. Valid values: [JSON, YAML]")
    if input.get("ExportVersion") not in (None, "1.0"):
        raise errors.bad_request("Invalid exportVersion. Valid values: [1.0]")
    if name:
        stage = await find_stage(ctx.store, api_id, name)
        snapshot = await ctx.store.get(LIVE, api_id.encode(), f"snapshot/{stage.get('DeploymentId', '')}".encode())
        if snapshot is None:
            raise errors.bad_request(f"Stage {name} has no deployment")
        draft = decode_draft(snapshot)
    url = str((await show(ctx, draft.api))["ApiEndpoint"])
    base_path = name if name and name != "$default" else ""
    definition = write(draft, url, base_path, extensions=input.get("IncludeExtensions") is not False)
    if kind == "YAML":
        return {"body": rest.as_yaml(definition)}
    return {"body": orjson.dumps(definition, option=orjson.OPT_INDENT_2)}
