"""RestApis."""

import copy
from typing import Any

from haar.services.apigateway import errors
from haar.services.apigateway.demands import on, policy_demand
from haar.services.apigateway.domains import leading_to
from haar.services.apigateway.face import service
from haar.services.apigateway.models import default_models
from haar.services.apigateway.pages import page
from haar.services.apigateway.patch import Entries, Members, Rules, Value, apply, boolean, integer, one_of, text_or_none
from haar.services.apigateway.policies import escaped, whole_policy
from haar.services.apigateway.records import (
    DRAFTS,
    INDEX,
    LIVE,
    Doc,
    Draft,
    change_draft,
    encode_draft,
    load_api,
    load_draft,
)
from haar.services.service import Context, Input, Output
from haar.store.contract import Transaction

MAX_APIS = 600
"""REST APIs of an account in a region."""
COMPRESSION = "Invalid minimum compression size, must be between 0 and 10485760"
MAX_COMPRESSION = 10_485_760
GIVEN = (
    "description",
    "version",
    "binaryMediaTypes",
    "minimumCompressionSize",
    "policy",
    "tags",
    "securityPolicy",
    "endpointAccessMode",
)
"""What an API keeps as it was given, when it was."""
ENDPOINT_TYPES = ("REGIONAL", "EDGE", "PRIVATE")

RULES: Rules = {
    "/name": Value(),
    "/description": Value(text_or_none, ("add", "remove", "replace")),
    "/version": Value(text_or_none),
    "/policy": Value(text_or_none, ("add", "remove", "replace")),
    "/apiKeySource": Value(one_of("Invalid API key source specified. Valid options are HEADER,AUTHORIZER", "HEADER", "AUTHORIZER")),
    "/disableExecuteApiEndpoint": Value(boolean),
    "/minimumCompressionSize": Value(integer(COMPRESSION, 0, MAX_COMPRESSION, optional=True)),
    "/binaryMediaTypes": Members(),
    "/securityPolicy": Value(),
    "/endpointAccessMode": Value(text_or_none),
    "/endpointConfiguration/ipAddressType": Value(one_of("ipAddressType must be either ipv4 or dualstack.", "ipv4", "dualstack")),
    "/endpointConfiguration/vpcEndpointIds": Members(by_value=True),
    "/endpointConfiguration/types": Entries(),
}


def new_id(ctx: Context, length: int) -> str:
    return ctx.host.ids.text(length)


def show(api: Doc, *, whole: bool = False) -> Doc:
    """The API as operations answer it; single reads and updates show even empty tags."""
    shown = api | {"tags": api.get("tags", {})} if whole else api
    return shown | {"policy": escaped(api["policy"])} if "policy" in api else shown


def _endpoint(configuration: Doc | None) -> Doc:
    given = dict(configuration or {})
    types = given.get("types", ["EDGE"])
    if not types:
        raise errors.bad_request("REGIONAL Configuration and EDGE Configuration cannot be both DISABLED.")
    if len(types) > 1:
        raise errors.bad_request("Cannot create an api with multiple Endpoint Types.")
    if types[0] == "PRIVATE" and given.get("ipAddressType", "dualstack") != "dualstack":
        raise errors.bad_request("Only dualstack ipAddressType is supported for Private APIs.")
    address = given.pop("ipAddressType", "dualstack" if types[0] == "PRIVATE" else "ipv4")
    return given | {"types": list(types), "ipAddressType": address}


def new_api(ctx: Context, input: Input) -> Doc:
    if not input.get("name"):
        raise errors.bad_request("API name cannot be an empty string" if "name" in input else "API name is required")
    if input.get("description") == "":
        raise errors.bad_request("Description cannot be an empty string")
    size = input.get("minimumCompressionSize")
    if size is not None and not 0 <= size <= MAX_COMPRESSION:
        raise errors.bad_request(COMPRESSION)
    api: Doc = {
        "id": new_id(ctx, 10),
        "name": input["name"],
        "createdDate": int(ctx.now()),
        "apiKeySource": input.get("apiKeySource", "HEADER"),
        "endpointConfiguration": _endpoint(input.get("endpointConfiguration")),
        "disableExecuteApiEndpoint": input.get("disableExecuteApiEndpoint", False),
        "rootResourceId": new_id(ctx, 10),
    }
    for member in GIVEN:
        value = input.get(member)
        if value not in (None, [], {}, ""):
            api[member] = value
    if "policy" in api:
        api["policy"] = whole_policy(ctx, api["id"], api["policy"])
    return api


@service.operation("CreateRestApi", on("POST", "/restapis", policy_demand))
async def create_rest_api(ctx: Context, input: Input) -> Output:
    api = new_api(ctx, input)
    root = api["rootResourceId"]
    fresh = Draft(ctx.region, api, {root: {"id": root, "path": "/"}}, default_models(ctx))
    clone_from = input.get("cloneFrom")

    async def run(tx: Transaction) -> None:
        draft = fresh
        if clone_from is not None:
            source = await load_draft(tx, clone_from, ctx.region)
            if source is None:
                raise errors.not_found(f"Invalid API identifier specified {ctx.account}:{clone_from}")
            draft = _clone(source, fresh)
        if len(await tx.range(INDEX, ctx.region.encode(), limit=MAX_APIS)) >= MAX_APIS:
            raise errors.limit_exceeded("Maximum number of APIs has been reached")
        tx.put(DRAFTS, api["id"].encode(), b"", encode_draft(draft))
        tx.put(INDEX, ctx.region.encode(), api["id"].encode(), b"")

    await ctx.store.transact(run)
    return show(api)


def _clone(source: Draft, fresh: Draft) -> Draft:
    """The source's resources and all that belongs to them under the new API; the root keeps the new API's root id."""
    draft = copy.deepcopy(source)
    old_root, root = source.api["rootResourceId"], fresh.api["rootResourceId"]
    draft.resources[root] = draft.resources.pop(old_root) | {"id": root}
    for resource in draft.resources.values():
        if resource.get("parentId") == old_root:
            resource["parentId"] = root
    draft.api = {key: value for key, value in source.api.items() if key in ("binaryMediaTypes", "minimumCompressionSize")} | fresh.api
    fresh.api.update(draft.api)
    return draft


@service.operation("GetRestApi", on("GET", "/restapis/{restApiId}"))
async def get_rest_api(ctx: Context, input: Input) -> Output:
    api = await load_api(ctx.store, input["restApiId"], ctx.region)
    if api is None:
        raise errors.no_api(ctx.account, input["restApiId"])
    return show(api, whole=True)


@service.operation("GetRestApis", on("GET", "/restapis"))
async def get_rest_apis(ctx: Context, input: Input) -> Output:
    found = []
    for api_id, _ in await ctx.store.range(INDEX, ctx.region.encode()):
        api = await load_api(ctx.store, api_id.decode(), ctx.region)
        if api is not None:
            found.append(api)
    return page([show(api) for api in sorted(found, key=_age)], input, _age)


def _age(api: Doc) -> str:
    return f"{api['createdDate']:012d}{api['id']}"


@service.operation("UpdateRestApi", on("PATCH", "/restapis/{restApiId}", policy_demand))
async def update_rest_api(ctx: Context, input: Input) -> Output:
    operations = input.get("patchOperations", [])

    def change(draft: Draft) -> Doc:
        kinds: list[Doc] = []
        others: list[Doc] = []
        for one in operations:
            (kinds if str(one.get("path", "")).startswith("/endpointConfiguration/types/") else others).append(one)
        api = apply(draft.api, others, RULES)
        for one in kinds:
            _patch_type(api, one)
        _check(api)
        if api.get("policy") not in (None, draft.api.get("policy")):
            api["policy"] = whole_policy(ctx, api["id"], api["policy"])
        draft.api = api
        return api

    return show(await change_draft(ctx, input["restApiId"], change), whole=True)


def _patch_type(api: Doc, operation: Doc) -> None:
    """`/endpointConfiguration/types/EDGE` or `/types/0`: replaces the one type that an API has."""
    if operation["op"] not in ("add", "remove", "replace"):
        raise errors.bad_request("Invalid patch operation specified. Must be 'add'|'remove'|'replace'")
    value: Any = operation.get("value")
    if operation["op"] == "replace":
        if value not in ENDPOINT_TYPES:
            raise errors.bad_request("Invalid EndpointTypes specified. Valid options are REGIONAL,EDGE,PRIVATE")
        api["endpointConfiguration"]["types"] = [value]
        if value == "PRIVATE":
            api["endpointConfiguration"]["ipAddressType"] = "dualstack"
    elif operation["op"] == "add":
        raise errors.bad_request("Cannot create an api with multiple Endpoint Types.")
    else:
        raise errors.bad_request("REGIONAL Configuration and EDGE Configuration cannot be both DISABLED.")


def _check(api: Doc) -> None:
    if not api.get("name"):
        raise errors.bad_request("API name cannot be an empty string")
    configuration = api["endpointConfiguration"]
    if configuration["types"] == ["PRIVATE"] and configuration["ipAddressType"] != "dualstack":
        raise errors.bad_request("Only dualstack ipAddressType is supported for Private APIs.")


@service.operation("DeleteRestApi", on("DELETE", "/restapis/{restApiId}"))
async def delete_rest_api(ctx: Context, input: Input) -> Output:
    api_id = input["restApiId"]

    async def run(tx: Transaction) -> None:
        if await load_draft(tx, api_id, ctx.region) is None:
            raise errors.no_api(ctx.account, api_id)
        if domains := await leading_to(tx, ctx.region, api_id):
            what = "Please remove all base path mappings related to the RestApi in your domains"
            raise errors.bad_request(f"Deleting RestApi {api_id} failed. {what}: {', '.join(domains)}")
        tx.delete(DRAFTS, api_id.encode())
        tx.delete(INDEX, ctx.region.encode(), api_id.encode())
        for sort, _ in await tx.range(LIVE, api_id.encode()):
            tx.delete(LIVE, api_id.encode(), sort)

    await ctx.store.transact(run)
    return {}
