"""Models of WebSocket APIs."""

import orjson

from haar.services.apigateway.public import check_schema, sample
from haar.services.apigatewayv2 import errors
from haar.services.apigatewayv2.demands import on
from haar.services.apigatewayv2.face import service
from haar.services.apigatewayv2.pages import of, page
from haar.services.apigatewayv2.records import Doc, Draft, change, given, read_draft, renewed
from haar.services.service import Context, Input, Output

MODEL = "/apis/{ApiId}/models/{ModelId}"
MEMBERS = ("ContentType", "Description", "Name", "Schema")
ID_LETTERS = 6


def _check(draft: Draft, model: Doc) -> None:
    if draft.api["ProtocolType"] != "WEBSOCKET":
        raise errors.bad_request("Models are not supported for HTTP protocol type")
    if not (model["Name"].isalnum() and model["Name"].isascii()):
        raise errors.bad_request("Model name must be alphanumeric: " + model["Name"])
    check_schema(model.get("Schema"), model["ContentType"])
    for other in draft.models.values():
        if other["Name"] == model["Name"] and other["ModelId"] != model["ModelId"]:
            raise errors.conflict(f"Model name already exists for this API: {model['Name']}")


def _find(draft: Draft, model_id: str) -> Doc:
    model = draft.models.get(model_id)
    if model is None:
        raise errors.missing("Model", model_id)
    return model


@service.operation("CreateModel", on("POST", "/apis/{ApiId}/models"))
async def create_model(ctx: Context, input: Input) -> Output:
    model_id = ctx.host.ids.text(ID_LETTERS)

    def edit(draft: Draft) -> Doc:
        model = {"ContentType": "application/json", "ModelId": model_id} | given(input, *MEMBERS)
        _check(draft, model)
        draft.models[model_id] = model
        return model

    return await change(ctx, input["ApiId"], edit)


@service.operation("GetModel", on("GET", MODEL))
async def get_model(ctx: Context, input: Input) -> Output:
    return _find(await read_draft(ctx, input["ApiId"]), input["ModelId"])


@service.operation("GetModels", on("GET", "/apis/{ApiId}/models"))
async def get_models(ctx: Context, input: Input) -> Output:
    draft = await read_draft(ctx, input["ApiId"])
    return page(sorted(draft.models.values(), key=of("ModelId")), input, of("ModelId"))


@service.operation("GetModelTemplate", on("GET", MODEL + "/template"))
async def get_model_template(ctx: Context, input: Input) -> Output:
    model = _find(await read_draft(ctx, input["ApiId"]), input["ModelId"])
    return {"Value": sample(orjson.loads(model["Schema"]))}


@service.operation("UpdateModel", on("PATCH", MODEL))
async def update_model(ctx: Context, input: Input) -> Output:
    def edit(draft: Draft) -> Doc:
        model = renewed(_find(draft, input["ModelId"]), input, *MEMBERS)
        _check(draft, model)
        draft.models[input["ModelId"]] = model
        return model

    return await change(ctx, input["ApiId"], edit)


@service.operation("DeleteModel", on("DELETE", MODEL))
async def delete_model(ctx: Context, input: Input) -> Output:
    def edit(draft: Draft) -> None:
        _find(draft, input["ModelId"])
        del draft.models[input["ModelId"]]

    await change(ctx, input["ApiId"], edit)
    return {}
