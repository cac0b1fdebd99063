"""Tags of APIs, stages, VPC links and domain names."""

from typing import NamedTuple

from haar.services.apigateway.public import DOMAINS, check_tags, find_domain, get_doc, put_doc
from haar.services.apigatewayv2 import errors
from haar.services.apigatewayv2.demands import on
from haar.services.apigatewayv2.face import service
from haar.services.apigatewayv2.records import DRAFTS, LINKS, LIVE, Doc, Draft, load_draft, no_api, put_draft
from haar.services.service import Context, Input, Output
from haar.store.contract import Reader, Transaction

TAGS = "/tags/{ResourceArn}"


class _Place(NamedTuple):
    """What an ARN names: an API, a stage of it, a VPC link, or a domain name."""

    space: str
    partition: str
    sort: str
    member: str = "Tags"


def _place(ctx: Context, arn: str) -> _Place:
    """Raises BadRequestException for an ARN of something that has no tags."""
    parts = arn.split(":", 5)
    path = parts[5].strip("/").split("/") if len(parts) == 6 and parts[2] == "apigateway" and parts[3] == ctx.region else []
    if len(path) == 2 and path[0] == "apis":
        return _Place(DRAFTS, path[1], "")
    if len(path) == 4 and path[0] == "apis" and path[2] == "stages":
        return _Place(LIVE, path[1], f"stage/{path[3]}")
    if len(path) == 2 and path[0] == "vpclinks":
        return _Place(LINKS, ctx.region, f"link/{path[1]}")
    if len(path) == 2 and path[0] == "domainnames":
        return _Place(DOMAINS, path[1].lower(), "name", "tags")
    raise errors.bad_request(f"Invalid resource ARN: {arn}")


async def _tagged(reader: Reader, ctx: Context, place: _Place) -> tuple[Draft | None, Doc]:
    """What has the tags; with its draft, if it is an API."""
    if place.space == LINKS:
        link = await get_doc(reader, LINKS, place.partition, place.sort)
        if link is None:
            raise errors.missing("VpcLink", place.sort.removeprefix("link/"))
        return None, link
    if place.space == DOMAINS:
        return None, await find_domain(ctx, reader, place.partition)
    draft = await load_draft(reader, place.partition, ctx.region)
    if draft is None:
        raise no_api(ctx, place.partition)
    if place.space == DRAFTS:
        return draft, draft.api
    found = await get_doc(reader, LIVE, place.partition, place.sort)
    if found is None:
        raise errors.not_found("Invalid stage identifier specified")
    return None, found


async def _write(ctx: Context, arn: str, added: dict[str, str], taken: list[str]) -> None:
    place = _place(ctx, arn)

    async def run(tx: Transaction) -> None:
        draft, doc = await _tagged(tx, ctx, place)
        tags = {key: value for key, value in doc.get(place.member, {}).items() if key not in taken} | added
        check_tags(tags)
        doc[place.member] = tags
        if draft is not None:
            put_draft(tx, draft)
        else:
            put_doc(tx, place.space, place.partition, place.sort, doc)

    await ctx.store.transact(run)


@service.operation("TagResource", on("POST", TAGS))
async def tag_resource(ctx: Context, input: Input) -> Output:
    await _write(ctx, input["ResourceArn"], input.get("Tags") or {}, [])
    return {}


@service.operation("UntagResource", on("DELETE", TAGS))
async def untag_resource(ctx: Context, input: Input) -> Output:
    await _write(ctx, input["ResourceArn"], {}, input["TagKeys"])
    return {}


@service.operation("GetTags", on("GET", TAGS))
async def get_tags(ctx: Context, input: Input) -> Output:
    place = _place(ctx, input["ResourceArn"])
    return {"Tags": (await _tagged(ctx.store, ctx, place))[1].get(place.member, {})}
