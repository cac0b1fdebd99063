"""Domain name access associations: which VPC endpoints may reach a private custom domain name. Kept as settings: haar has no VPC."""

import re

from haar.services.apigateway import errors
from haar.services.apigateway.demands import domain_demand, on
from haar.services.apigateway.domains import find, no_domain
from haar.services.apigateway.face import service
from haar.services.apigateway.pages import page
from haar.services.apigateway.records import ACCOUNT, ASSOCIATION, Doc, docs, get_doc, put_doc
from haar.services.apigateway.tags import check_tags
from haar.services.service import Context, Input, Output
from haar.store.contract import Transaction
from haar.wire.errors import ServiceError

MAX_ASSOCIATIONS = 1000
"""Domain name access associations of an account in a region."""
PATH = "/domainnameaccessassociations"
DOMAIN_ARN = re.compile(r"arn:aws[a-z-]*:apigateway:[a-z0-9-]+:\d{12}:/domainnames/([^+/]+)\+([a-z0-9]+)")
ENDPOINT = re.compile(r"vpce-[a-z0-9]+")


def no_association() -> ServiceError:
    return errors.not_found("Invalid domain name access association identifier specified")


@service.operation("CreateDomainNameAccessAssociation", on("POST", PATH, domain_demand("CreateAccessAssociation")))
async def create_domain_name_access_association(ctx: Context, input: Input) -> Output:
    domain_arn, source = input["domainNameArn"], input["accessAssociationSource"]
    named = DOMAIN_ARN.fullmatch(domain_arn)
    if named is None:
        raise errors.bad_request(f"Invalid domain name ARN specified: {domain_arn}")
    if not ENDPOINT.fullmatch(source):
        raise errors.bad_request(f"Invalid VPC endpoint identifier specified: {source}")
    check_tags(input.get("tags", {}))
    place = f"domainname/{named[1]}+{named[2]}/vpcesource/{source}"
    association: Doc = {
        "domainNameAccessAssociationArn": f"arn:aws:apigateway:{ctx.region}:{ctx.account}:{PATH}/{place}",
        "domainNameArn": domain_arn,
        "accessAssociationSourceType": input["accessAssociationSourceType"],
        "accessAssociationSource": source,
    }
    if input.get("tags"):
        association["tags"] = input["tags"]

    async def run(tx: Transaction) -> None:
        if (await find(ctx, tx, named[1], named[2]))["domainNameArn"] != domain_arn:
            raise no_domain()
        key = ASSOCIATION + association["domainNameAccessAssociationArn"]
        if await get_doc(tx, ACCOUNT, ctx.region, key) is not None:
            raise errors.conflict("Domain name access association already exists")
        if len(await docs(tx, ACCOUNT, ctx.region, ASSOCIATION)) >= MAX_ASSOCIATIONS:
            raise errors.limit_exceeded("Maximum number of domain name access associations has been reached")
        put_doc(tx, ACCOUNT, ctx.region, key, association)

    await ctx.store.transact(run)
    return association


@service.operation("GetDomainNameAccessAssociations", on("GET", PATH))
async def get_domain_name_access_associations(ctx: Context, input: Input) -> Output:
    if input.get("resourceOwner") == "OTHER_ACCOUNTS":
        return {"items": []}
    found = await docs(ctx.store, ACCOUNT, ctx.region, ASSOCIATION)
    return page(found, input, lambda one: str(one["domainNameAccessAssociationArn"]))


async def _remove(ctx: Context, association_arn: str, domain_arn: str | None = None) -> None:
    key = ASSOCIATION + association_arn

    async def run(tx: Transaction) -> None:
        found = await get_doc(tx, ACCOUNT, ctx.region, key)
        if found is None or domain_arn not in (None, found["domainNameArn"]):
            raise no_association()
        tx.delete(ACCOUNT, ctx.region.encode(), key.encode())

    await ctx.store.transact(run)


@service.operation("DeleteDomainNameAccessAssociation", on("DELETE", PATH + "/{domainNameAccessAssociationArn}"))
async def delete_domain_name_access_association(ctx: Context, input: Input) -> Output:
    await _remove(ctx, input["domainNameAccessAssociationArn"])
    return {}


@service.operation(
    "RejectDomainNameAccessAssociation",
    on("POST", "/rejectdomainnameaccessassociations", domain_demand("RejectAccessAssociation")),
)
async def reject_domain_name_access_association(ctx: Context, input: Input) -> Output:
    await _remove(ctx, input["domainNameAccessAssociationArn"], input["domainNameArn"])
    return {}
