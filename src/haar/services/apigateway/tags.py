"""Tags of APIs, stages, API keys, usage plans, domain names, client certificates and VPC links."""

from typing import NamedTuple

from haar.services.apigateway import errors
from haar.services.apigateway.demands import on
from haar.services.apigateway.face import service
from haar.services.apigateway.records import ACCOUNT, DOMAINS, DRAFTS, LIVE, Doc, encode_draft, get_doc, load_draft, put_doc
from haar.services.service import Context, Input, Output
from haar.store.contract import Reader, Transaction

MAX_TAGS = 50
TAGS = "/tags/{resourceArn}"


class _Place(NamedTuple):
    space: str
    partition: str
    sort: str
    missing: Exception


def _place(ctx: Context, arn: str) -> _Place:
    """Where the record of an ARN is. Raises BadRequestException for an ARN of something that has no tags."""
    parts = arn.split(":", 5)
    path = parts[5].strip("/").split("/") if len(parts) == 6 and parts[2] == "apigateway" and parts[3] == ctx.region else []
    if len(path) == 2 and path[0] == "restapis":
        return _Place(DRAFTS, path[1], "", errors.no_api(ctx.account, path[1]))
    if len(path) == 4 and path[0] == "restapis" and path[2] == "stages":
        return _Place(LIVE, path[1], f"stage/{path[3]}", errors.no_stage())
    if len(path) == 2 and path[0] == "apikeys":
        return _Place(ACCOUNT, ctx.region, f"key/{path[1]}", errors.no_key())
    if len(path) == 2 and path[0] == "usageplans":
        return _Place(ACCOUNT, ctx.region, f"plan/{path[1]}", errors.no_plan())
    if len(path) == 2 and path[0] == "clientcertificates":
        return _Place(ACCOUNT, ctx.region, f"certificate/{path[1]}", errors.not_found("Invalid Client Certificate Identifier Specified"))
    if len(path) == 2 and path[0] == "vpclinks":
        return _Place(ACCOUNT, ctx.region, f"link/{path[1]}", errors.not_found("VPC Link not found"))
    if len(path) == 2 and path[0] == "domainnames":
        return _Place(DOMAINS, path[1].lower(), "name", errors.not_found("Invalid domain name identifier specified"))
    raise errors.bad_request("Invalid resource ARN specified")


async def _tagged(reader: Reader, ctx: Context, place: _Place) -> Doc:
    """The record that holds the tags."""
    if place.space == DRAFTS:
        draft = await load_draft(reader, place.partition, ctx.region)
        found = None if draft is None else draft.api
    else:
        found = await get_doc(reader, place.space, place.partition, place.sort)
        if place.space == LIVE and await load_draft(reader, place.partition, ctx.region) is None:
            found = None
        if place.space == DOMAINS and found is not None and found["region"] != ctx.region:
            found = None
    if found is None:
        raise place.missing
    return found


async def _write(tx: Transaction, ctx: Context, place: _Place, tags: dict[str, str]) -> None:
    if place.space == DRAFTS:
        draft = await load_draft(tx, place.partition, ctx.region)
        if draft is not None:
            draft.api["tags"] = tags
            tx.put(DRAFTS, place.partition.encode(), b"", encode_draft(draft))
        return
    doc = await get_doc(tx, place.space, place.partition, place.sort)
    put_doc(tx, place.space, place.partition, place.sort, (doc or {}) | {"tags": tags})


def check_tags(tags: dict[str, str]) -> None:
    if len(tags) > MAX_TAGS:
        raise errors.bad_request("The maximum number of tags for this resource has been reached")
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise errors.bad_request("Invalid tag: a key has 1 to 128 characters, a value up to 256")
        if key.lower().startswith("aws:"):
            raise errors.bad_request("Invalid tag key: the prefix aws: is reserved")


@service.operation("TagResource", on("PUT", TAGS))
async def tag_resource(ctx: Context, input: Input) -> Output:
    place = _place(ctx, input["resourceArn"])

    async def run(tx: Transaction) -> None:
        tags = (await _tagged(tx, ctx, place)).get("tags", {}) | input["tags"]
        check_tags(tags)
        await _write(tx, ctx, place, tags)

    await ctx.store.transact(run)
    return {}


@service.operation("UntagResource", on("DELETE", TAGS))
async def untag_resource(ctx: Context, input: Input) -> Output:
    place = _place(ctx, input["resourceArn"])

    async def run(tx: Transaction) -> None:
        old = (await _tagged(tx, ctx, place)).get("tags", {})
        await _write(tx, ctx, place, {key: value for key, value in old.items() if key not in input["tagKeys"]})

    await ctx.store.transact(run)
    return {}


@service.operation("GetTags", on("GET", TAGS))
async def get_tags(ctx: Context, input: Input) -> Output:
    return {"tags": (await _tagged(ctx.store, ctx, _place(ctx, input["resourceArn"]))).get("tags", {})}
