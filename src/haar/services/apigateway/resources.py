"""Resources: the tree of paths."""

import re

from haar.services.apigateway import errors
from haar.services.apigateway.demands import on
from haar.services.apigateway.face import service
from haar.services.apigateway.pages import page
from haar.services.apigateway.patch import Rules, Style, Value, apply
from haar.services.apigateway.records import Doc, Draft, change_parts, load_draft, read_draft
from haar.services.service import Context, Input, Output

MAX_RESOURCES = 300
"""Resources of one API."""
PART = re.compile(r"[a-zA-Z0-9._\-:]+|\{[a-zA-Z0-9._\-:]+\+?\}")
BAD_PART = "Resource's path part only allow a-zA-Z0-9._-: or a valid greedy path variable and curly braces at the beginning and the end."
RULES: Rules = {"/parentId": Value(), "/pathPart": Value()}


def path_of(draft: Draft, resource: Doc) -> str:
    """The path, from the parents as they are now."""
    parts = []
    while "parentId" in resource:
        parts.append(resource["pathPart"])
        resource = draft.resources[resource["parentId"]]
    return "/" + "/".join(reversed(parts))


def check_place(draft: Draft, resource: Doc) -> None:
    """Raises unless a resource of this part may stand under this parent."""
    part, parent = resource["pathPart"], draft.resource(resource["parentId"])
    if not PART.fullmatch(part):
        raise errors.bad_request(BAD_PART)
    if parent.get("pathPart", "").endswith("+}"):
        raise errors.bad_request(f"Cannot create a child of a resource with a greedy path variable: {parent['pathPart']}")
    for sibling in draft.resources.values():
        if sibling.get("parentId") != parent["id"] or sibling["id"] == resource["id"]:
            continue
        if sibling["pathPart"] == part:
            raise errors.conflict(f"Another resource with the same parent already has this name: {part}")
        if part.startswith("{") and sibling["pathPart"].startswith("{") and part.endswith("+}") == sibling["pathPart"].endswith("+}"):
            raise errors.bad_request(
                f"A sibling ({sibling['pathPart']}) of this resource already has a variable path part -- only one is allowed"
            )


def children(draft: Draft, resource_id: str) -> set[str]:
    """The ids of a resource and of everything under it."""
    found = {resource_id}
    grew = True
    while grew:
        more = {one["id"] for one in draft.resources.values() if one.get("parentId") in found} - found
        found |= more
        grew = bool(more)
    return found


def show(resource: Doc, embed: bool) -> Doc:
    shown = {key: value for key, value in resource.items() if key != "resourceMethods"}
    methods = resource.get("resourceMethods")
    if methods:
        shown["resourceMethods"] = methods if embed else {key: {} for key in methods}
    return shown


@service.operation("CreateResource", on("POST", "/restapis/{restApiId}/resources/{parentId}"))
async def create_resource(ctx: Context, input: Input) -> Output:
    resource: Doc = {"id": ctx.host.ids.text(6), "parentId": input["parentId"], "pathPart": input["pathPart"]}

    def change(draft: Draft) -> Doc:
        check_place(draft, resource)
        if len(draft.resources) > MAX_RESOURCES:
            raise errors.limit_exceeded("Maximum number of resources for this API has been reached.")
        draft.resources[resource["id"]] = resource | {"path": path_of(draft, resource)}
        return draft.resources[resource["id"]]

    return await change_parts(ctx, input["restApiId"], change)


@service.operation("GetResource", on("GET", "/restapis/{restApiId}/resources/{resourceId}"))
async def get_resource(ctx: Context, input: Input) -> Output:
    draft = await load_draft(ctx.store, input["restApiId"], ctx.region)
    if draft is None:
        raise errors.no_resource()
    return show(draft.resource(input["resourceId"]), "methods" in input.get("embed", ()))


def _path(resource: Doc) -> str:
    return str(resource["path"])


@service.operation("GetResources", on("GET", "/restapis/{restApiId}/resources"))
async def get_resources(ctx: Context, input: Input) -> Output:
    draft = await read_draft(ctx, input["restApiId"])
    embed = "methods" in input.get("embed", ())
    return page([show(one, embed) for one in sorted(draft.resources.values(), key=_path)], input, _path)


@service.operation("UpdateResource", on("PATCH", "/restapis/{restApiId}/resources/{resourceId}"))
async def update_resource(ctx: Context, input: Input) -> Output:
    resource_id = input["resourceId"]

    def change(draft: Draft) -> Doc:
        resource = apply(draft.resource(resource_id), input.get("patchOperations", []), RULES, Style.LISTED)
        moved = children(draft, resource_id)
        if "parentId" not in draft.resource(resource_id):
            raise errors.bad_request("Root resource cannot be updated")
        if draft.resource(resource["parentId"])["id"] in moved:
            raise errors.bad_request("Resources cannot be cyclical.")
        check_place(draft, resource)
        draft.resources[resource_id] = resource
        for one in moved:
            draft.resources[one]["path"] = path_of(draft, draft.resources[one])
        return show(resource, embed=False)

    return await change_parts(ctx, input["restApiId"], change)


@service.operation("DeleteResource", on("DELETE", "/restapis/{restApiId}/resources/{resourceId}"))
async def delete_resource(ctx: Context, input: Input) -> Output:
    resource_id = input["resourceId"]

    def change(draft: Draft) -> None:
        if "parentId" not in draft.resource(resource_id):
            raise errors.bad_request("Root resource cannot be deleted")
        for one in children(draft, resource_id):
            del draft.resources[one]

    await change_parts(ctx, input["restApiId"], change)
    return {}
