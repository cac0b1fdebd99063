"""VPC links: kept as settings. haar has no private networks: an integration through one answers so."""

import re

from haar.services.apigateway.public import check_tags, docs, get_doc, put_doc
from haar.services.apigatewayv2 import errors
from haar.services.apigatewayv2.demands import on
from haar.services.apigatewayv2.face import service
from haar.services.apigatewayv2.pages import of, page
from haar.services.apigatewayv2.records import LINKS, Doc
from haar.services.service import Context, Input, Output
from haar.store.contract import Reader, Transaction

MAX_LINKS = 10
"""VPC links of an account in a region."""
LINK = "/vpclinks/{VpcLinkId}"
ID_LETTERS = 6
PREFIX = "link/"
READY = {"VpcLinkStatus": "AVAILABLE", "VpcLinkStatusMessage": "VPC link is ready to route traffic"}
_SUBNET, _GROUP = re.compile(r"subnet-[0-9a-z]+"), re.compile(r"sg-[0-9a-z]+")


@service.operation("CreateVpcLink", on("POST", "/vpclinks"))
async def create_vpc_link(ctx: Context, input: Input) -> Output:
    subnets, groups = input["SubnetIds"], input.get("SecurityGroupIds") or []
    if not subnets:
        raise errors.bad_request("At least one subnet must be specified")
    for one, pattern, what in [(one, _SUBNET, "subnet") for one in subnets] + [(one, _GROUP, "security group") for one in groups]:
        if not pattern.fullmatch(one):
            raise errors.bad_request(f"Invalid {what} ID: {one}")
    tags = input.get("Tags") or {}
    check_tags(tags)
    link: Doc = {
        "CreatedDate": int(ctx.now()),
        "Name": input["Name"],
        "SecurityGroupIds": groups,
        "SubnetIds": subnets,
        "Tags": tags,
        "VpcLinkId": ctx.host.ids.text(ID_LETTERS),
        "VpcLinkVersion": "V2",
    }

    async def run(tx: Transaction) -> None:
        if len(await docs(tx, LINKS, ctx.region, PREFIX)) >= MAX_LINKS:
            raise errors.too_many("Maximum number of VPC links has been reached")
        put_doc(tx, LINKS, ctx.region, PREFIX + link["VpcLinkId"], link)

    await ctx.store.transact(run)
    return link | {"VpcLinkStatus": "PENDING", "VpcLinkStatusMessage": "VPC link is provisioning ENIs"}


async def _find(ctx: Context, reader: Reader, link_id: str) -> Doc:
    link = await get_doc(reader, LINKS, ctx.region, PREFIX + link_id)
    if link is None:
        raise errors.missing("VpcLink", link_id)
    return link


@service.operation("GetVpcLink", on("GET", LINK))
async def get_vpc_link(ctx: Context, input: Input) -> Output:
    return await _find(ctx, ctx.store, input["VpcLinkId"]) | READY


@service.operation("GetVpcLinks", on("GET", "/vpclinks"))
async def get_vpc_links(ctx: Context, input: Input) -> Output:
    found = [link | READY for link in await docs(ctx.store, LINKS, ctx.region, PREFIX)]
    return page(found, input, of("VpcLinkId"))


@service.operation("UpdateVpcLink", on("PATCH", LINK))
async def update_vpc_link(ctx: Context, input: Input) -> Output:
    async def run(tx: Transaction) -> Doc:
        link = await _find(ctx, tx, input["VpcLinkId"])
        if input.get("Name"):
            link["Name"] = input["Name"]
        put_doc(tx, LINKS, ctx.region, PREFIX + link["VpcLinkId"], link)
        return link | READY

    return await ctx.store.transact(run)


@service.operation("DeleteVpcLink", on("DELETE", LINK))
async def delete_vpc_link(ctx: Context, input: Input) -> Output:
    async def run(tx: Transaction) -> None:
        link = await _find(ctx, tx, input["VpcLinkId"])
        tx.delete(LINKS, ctx.region.encode(), (PREFIX + link["VpcLinkId"]).encode())

    await ctx.store.transact(run)
    return {}
