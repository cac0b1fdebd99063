"""Tags of APIs and stages."""

from haar.services.apigateway.public import check_tags, get_doc, put_doc
from haar.services.apigatewayv2 import errors
from haar.services.apigatewayv2.demands import on
from haar.services.apigatewayv2.face import service
from haar.services.apigatewayv2.records import LIVE, Doc, Draft, load_draft, no_api, put_draft
from haar.services.service import Context, Input, Output
from haar.store.contract import Reader, Transaction

TAGS = "/tags/{ResourceArn}"


def _place(ctx: Context, arn: str) -> tuple[str, str | None]:
    """The API and, if the ARN is a stage's, the stage. Raises BadRequestException for an ARN of something that has no tags."""
    parts = arn.split(":", 5)
    path = parts[5].strip("/").split("/") if len(parts) == 6 and parts[2] == "apigateway" and parts[3] == ctx.region else []
    if len(path) == 2 and path[0] == "apis":
        return path[1], None
    if len(path) == 4 and path[0] == "apis" and path[2] == "stages":
        return path[1], path[3]
    raise errors.bad_request(f"Invalid resource ARN: {arn}")


async def _tagged(reader: Reader, ctx: Context, api_id: str, stage: str | None) -> tuple[Draft, Doc]:
    draft = await load_draft(reader, api_id, ctx.region)
    if draft is None:
        raise no_api(ctx, api_id)
    if stage is None:
        return draft, draft.api
    found = await get_doc(reader, LIVE, api_id, f"stage/{stage}")
    if found is None:
        raise errors.not_found("Invalid stage identifier specified")
    return draft, found


async def _write(ctx: Context, arn: str, added: dict[str, str], taken: list[str]) -> None:
    api_id, stage = _place(ctx, arn)

    async def run(tx: Transaction) -> None:
        draft, doc = await _tagged(tx, ctx, api_id, stage)
        tags = {key: value for key, value in doc.get("Tags", {}).items() if key not in taken} | added
        check_tags(tags)
        doc["Tags"] = tags
        if stage is None:
            put_draft(tx, draft)
        else:
            put_doc(tx, LIVE, api_id, f"stage/{stage}", doc)

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
    api_id, stage = _place(ctx, input["ResourceArn"])
    return {"Tags": (await _tagged(ctx.store, ctx, api_id, stage))[1].get("Tags", {})}
