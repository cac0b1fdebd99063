"""Documentation parts and versions."""

import orjson

from haar.services.apigateway import errors
from haar.services.apigateway.demands import on
from haar.services.apigateway.face import service
from haar.services.apigateway.pages import page
from haar.services.apigateway.patch import Rules, Style, Value, apply, text_or_none
from haar.services.apigateway.records import (
    DRAFTS,
    LIVE,
    Doc,
    Draft,
    change_draft,
    encode_draft,
    get_doc,
    in_api,
    load_draft,
    put_doc,
    read_draft,
)
from haar.services.service import Context, Input, Output
from haar.store.contract import Transaction
from haar.wire.errors import ServiceError

PARTS = "/restapis/{restApiId}/documentation/parts"
VERSIONS = "/restapis/{restApiId}/documentation/versions"
MAX_PARTS = 2000
"""Documentation parts of one API."""
PART_RULES: Rules = {"/properties": Value()}
VERSION_RULES: Rules = {"/description": Value(text_or_none)}


def no_part() -> ServiceError:
    return errors.not_found("Invalid Documentation part identifier specified")


def no_version() -> ServiceError:
    return errors.not_found("Invalid Documentation version specified")


def _kept(draft: Draft, kind: str) -> dict[str, Doc]:
    return draft.documentation.setdefault(kind, {})


def _check_properties(properties: str | None) -> None:
    try:
        parsed = orjson.loads(properties or "")
    except orjson.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict):
        raise errors.bad_request("Documentation part properties must be a JSON object")


@service.operation("CreateDocumentationPart", on("POST", PARTS))
async def create_documentation_part(ctx: Context, input: Input) -> Output:
    part: Doc = {"id": ctx.host.ids.text(6), "location": input["location"], "properties": input["properties"]}

    def change(draft: Draft) -> None:
        _check_properties(part["properties"])
        parts = _kept(draft, "parts")
        if any(one["location"] == part["location"] for one in parts.values()):
            raise errors.conflict(
                "Documentation part already exists for the specified location: " + orjson.dumps(part["location"]).decode()
            )
        if len(parts) >= MAX_PARTS:
            raise errors.limit_exceeded("Maximum number of documentation parts for this API has been reached")
        parts[part["id"]] = part

    await change_draft(ctx, input["restApiId"], change)
    return part


@service.operation("GetDocumentationPart", on("GET", PARTS + "/{documentationPartId}"))
async def get_documentation_part(ctx: Context, input: Input) -> Output:
    draft = await load_draft(ctx.store, input["restApiId"], ctx.region)
    part = None if draft is None else _kept(draft, "parts").get(input["documentationPartId"])
    if part is None:
        raise no_part()
    return part


@service.operation("GetDocumentationParts", on("GET", PARTS))
async def get_documentation_parts(ctx: Context, input: Input) -> Output:
    draft = await read_draft(ctx, input["restApiId"])
    found = [
        part
        for part in _kept(draft, "parts").values()
        if input.get("type", part["location"]["type"]) == part["location"]["type"]
        and input.get("nameQuery", "") in part["location"].get("name", "")
        and part["location"].get("path", "").startswith(input.get("path", ""))
    ]
    return page(sorted(found, key=_order), input, _order)


def _order(part: Doc) -> str:
    return f"{part['location']['type']}/{part['id']}"


@service.operation("UpdateDocumentationPart", on("PATCH", PARTS + "/{documentationPartId}"))
async def update_documentation_part(ctx: Context, input: Input) -> Output:
    def change(draft: Draft) -> Doc:
        parts, part_id = _kept(draft, "parts"), input["documentationPartId"]
        if part_id not in parts:
            raise no_part()
        part = apply(parts[part_id], input.get("patchOperations", []), PART_RULES, Style.LISTED)
        _check_properties(part.get("properties"))
        parts[part_id] = part
        return part

    return await change_draft(ctx, input["restApiId"], change, missing=no_part)


@service.operation("DeleteDocumentationPart", on("DELETE", PARTS + "/{documentationPartId}"))
async def delete_documentation_part(ctx: Context, input: Input) -> Output:
    def change(draft: Draft) -> None:
        if _kept(draft, "parts").pop(input["documentationPartId"], None) is None:
            raise no_part()

    await change_draft(ctx, input["restApiId"], change)
    return {}


@service.operation("CreateDocumentationVersion", on("POST", VERSIONS))
async def create_documentation_version(ctx: Context, input: Input) -> Output:
    version: Doc = {"version": input["documentationVersion"], "createdDate": int(ctx.now())}
    if input.get("description"):
        version["description"] = input["description"]

    def change(draft: Draft) -> None:
        versions = _kept(draft, "versions")
        if version["version"] in versions:
            raise errors.conflict("Version already exists for this API")
        versions[version["version"]] = version

    async def run(tx: Transaction, draft: Draft) -> None:
        change(draft)
        if input.get("stageName"):  # which shows this version from now on
            key = f"stage/{input['stageName']}"
            stage = await get_doc(tx, LIVE, input["restApiId"], key)
            if stage is None:
                raise errors.no_stage()
            put_doc(tx, LIVE, input["restApiId"], key, stage | {"documentationVersion": version["version"]})
        tx.put(DRAFTS, input["restApiId"].encode(), b"", encode_draft(draft))

    await in_api(ctx, input["restApiId"], run)
    return version


@service.operation("GetDocumentationVersion", on("GET", VERSIONS + "/{documentationVersion}"))
async def get_documentation_version(ctx: Context, input: Input) -> Output:
    version = _kept(await read_draft(ctx, input["restApiId"]), "versions").get(input["documentationVersion"])
    if version is None:
        raise no_version()
    return version


@service.operation("GetDocumentationVersions", on("GET", VERSIONS))
async def get_documentation_versions(ctx: Context, input: Input) -> Output:
    found = _kept(await read_draft(ctx, input["restApiId"]), "versions").values()
    return page(sorted(found, key=lambda one: str(one["version"])), input, lambda one: str(one["version"]))


@service.operation("UpdateDocumentationVersion", on("PATCH", VERSIONS + "/{documentationVersion}"))
async def update_documentation_version(ctx: Context, input: Input) -> Output:
    def change(draft: Draft) -> Doc:
        versions, name = _kept(draft, "versions"), input["documentationVersion"]
        if name not in versions:
            raise no_version()
        versions[name] = apply(versions[name], input.get("patchOperations", []), VERSION_RULES, Style.LISTED)
        return versions[name]

    return await change_draft(ctx, input["restApiId"], change)


@service.operation("DeleteDocumentationVersion", on("DELETE", VERSIONS + "/{documentationVersion}"))
async def delete_documentation_version(ctx: Context, input: Input) -> Output:
    def change(draft: Draft) -> None:
        if _kept(draft, "versions").pop(input["documentationVersion"], None) is None:
            raise no_version()

    await change_draft(ctx, input["restApiId"], change)
    return {}
