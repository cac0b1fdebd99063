"""VPC links: kept as settings. An integration through one reaches its URI as any other does: haar has no private networks."""

from haar.services.apigateway import errors
from haar.services.apigateway.demands import on
from haar.services.apigateway.face import service
from haar.services.apigateway.pages import page
from haar.services.apigateway.patch import Rules, Value, apply, text_or_none
from haar.services.apigateway.records import ACCOUNT, Doc, docs, get_doc, put_doc, update_doc
from haar.services.apigateway.tags import check_tags
from haar.services.service import Context, Input, Output
from haar.store.contract import Transaction
from haar.wire.errors import ServiceError

MAX_LINKS = 20
"""VPC links of an account in a region."""
LINK = "/vpclinks/{vpcLinkId}"
RULES: Rules = {"/name": Value(), "/description": Value(text_or_none, ("add", "replace", "remove"))}


def no_link() -> ServiceError:
    return errors.not_found("VPC Link not found")


@service.operation("CreateVpcLink", on("POST", "/vpclinks"))
async def create_vpc_link(ctx: Context, input: Input) -> Output:
    if not input["name"]:
        raise errors.bad_request("VPC Link name cannot be empty")
    if len(input["targetArns"]) != 1:
        raise errors.bad_request("Exactly one target ARN must be specified")
    check_tags(input.get("tags", {}))
    link: Doc = {"id": ctx.host.ids.text(6), "name": input["name"], "targetArns": input["targetArns"], "status": "AVAILABLE"}
    link |= {member: input[member] for member in ("description", "tags") if input.get(member)}

    async def run(tx: Transaction) -> None:
        if len(await docs(tx, ACCOUNT, ctx.region, "link/")) >= MAX_LINKS:
            raise errors.limit_exceeded("Maximum number of VPC links has been reached")
        put_doc(tx, ACCOUNT, ctx.region, f"link/{link['id']}", link)

    await ctx.store.transact(run)
    return link


@service.operation("GetVpcLink", on("GET", LINK))
async def get_vpc_link(ctx: Context, input: Input) -> Output:
    link = await get_doc(ctx.store, ACCOUNT, ctx.region, f"link/{input['vpcLinkId']}")
    if link is None:
        raise no_link()
    return link


@service.operation("GetVpcLinks", on("GET", "/vpclinks"))
async def get_vpc_links(ctx: Context, input: Input) -> Output:
    return page(await docs(ctx.store, ACCOUNT, ctx.region, "link/"), input, lambda one: str(one["id"]))


@service.operation("UpdateVpcLink", on("PATCH", LINK))
async def update_vpc_link(ctx: Context, input: Input) -> Output:
    def change(link: Doc) -> Doc:
        return apply(link, input.get("patchOperations", []), RULES)

    return await update_doc(ctx, ACCOUNT, ctx.region, f"link/{input['vpcLinkId']}", change, no_link)


@service.operation("DeleteVpcLink", on("DELETE", LINK))
async def delete_vpc_link(ctx: Context, input: Input) -> Output:
    key = f"link/{input['vpcLinkId']}"

    async def run(tx: Transaction) -> None:
        if await get_doc(tx, ACCOUNT, ctx.region, key) is None:
            raise no_link()
        tx.delete(ACCOUNT, ctx.region.encode(), key.encode())

    await ctx.store.transact(run)
    return {}
