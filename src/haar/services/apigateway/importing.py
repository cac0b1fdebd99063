"""ImportRestApi, PutRestApi, ImportDocumentationParts: APIs from definitions."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import orjson

from haar.services.apigateway import errors
from haar.services.apigateway.conditions import defined
from haar.services.apigateway.demands import on, passing, policy_demand
from haar.services.apigateway.documentation import PARTS
from haar.services.apigateway.face import service
from haar.services.apigateway.openapi.document import Document, parse
from haar.services.apigateway.openapi.reading import Reading
from haar.services.apigateway.policies import whole_policy
from haar.services.apigateway.records import DRAFTS, INDEX, Doc, Draft, change_draft, encode_draft
from haar.services.apigateway.restapis import ENDPOINT_TYPES, MAX_APIS, new_api, show
from haar.services.service import Context, Demand, Input, Output
from haar.store.contract import Transaction
from haar.wire.errors import ServiceError

MAX_DEFINITION = 6 * 1024 * 1024
"""Bytes of a definition."""
QUICK_DEFINITION = 64 * 1024
"""Bytes of a definition that is parsed in the loop; a larger one is parsed aside."""
MODES = ("merge", "overwrite")
BASE_PATHS = ("ignore", "prepend", "split")
POLICY = "x-amazon-apigateway-policy"


def _text(body: Any) -> bytes:
    return body if isinstance(body, bytes) else b"" if body is None else bytes(body)


async def read_definition(ctx: Context, text: bytes) -> Document:
    """Raises BadRequestException."""
    if len(text) > MAX_DEFINITION:
        raise errors.bad_request("Invalid OpenAPI input.")
    known = {"AWS::Region": ctx.region, "AWS::AccountId": ctx.account, "AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com"}
    raw = parse(text, known) if len(text) <= QUICK_DEFINITION else await asyncio.to_thread(parse, text, known)
    return Document(raw)


def roles_in(value: Any) -> Iterator[str]:
    """All roles that a definition would hand to API Gateway."""
    if isinstance(value, list):
        for one in value:
            yield from roles_in(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            if name in ("credentials", "authorizerCredentials") and isinstance(one, str):
                yield one
            else:
                yield from roles_in(one)


async def _demands(ctx: Context, input: Input, verb: str, path: str) -> Sequence[Demand]:
    found: list[Demand] = list(await _plain(ctx, {key: value for key, value in input.items() if key != "body"}, verb, path))
    try:
        document = await read_definition(ctx, _text(input.get("body")))
        if document.raw.get(POLICY):
            found.extend(policy_demand(ctx, input | {"policy": ""}))
        found.extend(passing(ctx, list(roles_in(document.raw))))
    except ServiceError:
        return found  # the operation itself says what is wrong with it
    draft = _new_draft(ctx, document)
    with suppress(ServiceError):  # it may be good for the API that is there
        await _read_new(ctx, document, draft, input)
    methods = [method for resource in draft.resources.values() for method in resource.get("resourceMethods", {}).values()]
    found[0].conditions = {**found[0].conditions, **defined("restapis", draft.api, methods, draft.authorizers.values())}
    return found


async def _plain(ctx: Context, input: Input, verb: str, path: str) -> Sequence[Demand]:
    result = on(verb, path)(ctx, input)
    return result if isinstance(result, Sequence) else await result


async def _import_demands(ctx: Context, input: Input) -> Sequence[Demand]:
    return await _demands(ctx, input, "POST", "/restapis")


async def _put_demands(ctx: Context, input: Input) -> Sequence[Demand]:
    return await _demands(ctx, input, "PUT", "/restapis/{restApiId}")


def _settings(input: Input) -> tuple[str, str | None]:
    """How the base path is taken, and the endpoint's type."""
    parameters = input.get("parameters") or {}
    base_path = str(parameters.get("basepath", "ignore")).lower()
    if base_path not in BASE_PATHS:
        raise errors.bad_request(f"Invalid basepath parameter specified. Must be one of: [{', '.join(BASE_PATHS)}]")
    kind = parameters.get("endpointConfigurationTypes")
    if kind is not None and kind not in ENDPOINT_TYPES:
        raise errors.bad_request("Invalid EndpointTypes specified. Valid options are REGIONAL,EDGE,PRIVATE")
    return base_path, kind


def _read(ctx: Context, document: Document, draft: Draft, input: Input, *, overwrite: bool) -> list[str]:
    """Puts the definition into the draft; the warnings. Raises BadRequestException with all that is wrong."""
    base_path, kind = _settings(input)
    reading = Reading(document, draft, ctx.host.ids.text, ctx.account)
    reading.read(base_path, overwrite=overwrite)
    policy = document.raw.get(POLICY)
    if policy:
        text = policy if isinstance(policy, str) else orjson.dumps(policy).decode()
        draft.api["policy"] = whole_policy(ctx, draft.api["id"], text)
    if kind is not None:
        draft.api["endpointConfiguration"] = draft.api["endpointConfiguration"] | {"types": [kind]}
        if kind == "PRIVATE":
            draft.api["endpointConfiguration"]["ipAddressType"] = "dualstack"
    reading.problems.settle(bool(input.get("failOnWarnings")))
    return reading.problems.warnings


async def _read_new(ctx: Context, document: Document, draft: Draft, input: Input) -> list[str]:
    """As `_read`, of a new API; a long definition is read in a thread, which lets others in."""
    read = partial(_read, ctx, document, draft, input, overwrite=False)
    return read() if len(_text(input.get("body"))) <= QUICK_DEFINITION else await asyncio.to_thread(read)


def _warned(api: Doc, warnings: list[str]) -> Doc:
    return api | {"warnings": warnings} if warnings else api


def _tags(document: Document) -> Doc:
    """Tags of the definition that have a value become tags of the API."""
    listed = document.raw.get("tags")
    value = "x-amazon-apigateway-tag-value"
    return {str(one["name"]): str(one[value]) for one in listed or () if isinstance(one, dict) and value in one and "name" in one}


def _new_draft(ctx: Context, document: Document) -> Draft:
    given: Doc = {"name": str(document.info.get("title") or "")}
    if tags := _tags(document):
        given["tags"] = tags
    api = new_api(ctx, given)
    root = api["rootResourceId"]
    return Draft(ctx.region, api, {root: {"id": root, "path": "/"}})


@service.operation("ImportRestApi", _import_demands)
async def import_rest_api(ctx: Context, input: Input) -> Output:
    document = await read_definition(ctx, _text(input.get("body")))
    draft = _new_draft(ctx, document)
    warnings, api = await _read_new(ctx, document, draft, input), draft.api

    async def run(tx: Transaction) -> None:
        if len(await tx.range(INDEX, ctx.region.encode(), limit=MAX_APIS)) >= MAX_APIS:
            raise errors.limit_exceeded("Maximum number of APIs has been reached")
        tx.put(DRAFTS, api["id"].encode(), b"", encode_draft(draft))
        tx.put(INDEX, ctx.region.encode(), api["id"].encode(), b"")

    await ctx.store.transact(run)
    return _warned(show(draft.api), warnings)


@service.operation("PutRestApi", _put_demands)
async def put_rest_api(ctx: Context, input: Input) -> Output:
    mode = str(input.get("mode", "merge")).lower()
    if mode not in MODES:
        raise errors.bad_request(f"Invalid mode specified. Must be one of: [{', '.join(MODES)}]")
    document = await read_definition(ctx, _text(input.get("body")))

    def change(draft: Draft) -> Doc:
        warnings = _read(ctx, document, draft, input, overwrite=mode == "overwrite")
        if tags := _tags(document):
            draft.api["tags"] = draft.api.get("tags", {}) | tags
        return _warned(show(draft.api, whole=True), warnings)

    return await change_draft(ctx, input["restApiId"], change)


@service.operation("ImportDocumentationParts", on("PUT", PARTS))
async def import_documentation_parts(ctx: Context, input: Input) -> Output:
    mode = str(input.get("mode", "merge")).lower()
    if mode not in MODES:
        raise errors.bad_request(f"Invalid mode specified. Must be one of: [{', '.join(MODES)}]")
    document = await read_definition(ctx, _text(input.get("body")))
    given = document.mapping(document.raw.get("x-amazon-apigateway-documentation"))
    listed = given.get("documentationParts")
    parts = [one for one in listed if isinstance(one, dict) and isinstance(one.get("location"), dict)] if isinstance(listed, list) else []

    def change(draft: Draft) -> list[str]:
        if mode == "overwrite":
            draft.documentation.pop("parts", None)
        reading = Reading(document, draft, ctx.host.ids.text, ctx.account)
        return [reading.part(one["location"], one.get("properties")) for one in parts]

    return {"ids": await change_draft(ctx, input["restApiId"], change), "warnings": []}


__all__ = ["import_documentation_parts", "import_rest_api", "put_rest_api"]
