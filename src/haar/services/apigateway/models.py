"""Models and request validators."""

import jsonschema_rs
import orjson

from haar.services.apigateway import errors
from haar.services.apigateway.demands import on
from haar.services.apigateway.face import service
from haar.services.apigateway.openapi.samples import sample
from haar.services.apigateway.pages import page
from haar.services.apigateway.patch import Rules, Style, Value, apply, boolean, text_or_none
from haar.services.apigateway.records import Doc, Draft, change_draft, load_draft, read_draft
from haar.services.service import Context, Input, Output

MAX_FLAT, MAX_FLAT_DEPTH = 10_000, 20
"""Values of a flattened schema, and how deep they stand."""
NO_SCHEMA = "Model schema must have at least 1 property or array items defined"
DRAFT_4 = "http://json-schema.org/draft-04/schema#"
EMPTY = '{\n  "$schema": "http://json-schema.org/draft-04/schema#",\n  "title" : "Empty Schema",\n  "type" : "object"\n}'
ERROR = (
    '{\n  "$schema" : "http://json-schema.org/draft-04/schema#",\n  "title" : "Error Schema",\n  "type" : "object",\n'
    '  "properties" : {\n    "message" : { "type" : "string" }\n  }\n}'
)

MODEL_RULES: Rules = {"/description": Value(text_or_none), "/schema": Value()}
VALIDATOR_RULES: Rules = {"/name": Value(), "/validateRequestParameters": Value(boolean), "/validateRequestBody": Value(boolean)}


def default_models(ctx: Context) -> dict[str, Doc]:
    """The two models that every API begins with."""
    return {
        name: {
            "id": ctx.host.ids.text(6),
            "name": name,
            "description": f"This is a default {name.lower()} schema model",
            "schema": schema,
            "contentType": "application/json",
        }
        for name, schema in (("Empty", EMPTY), ("Error", ERROR))
    }


def check_schema(schema: str | None, content_type: str) -> None:
    if not schema:
        raise errors.bad_request(NO_SCHEMA)
    if "json" in content_type:
        try:
            parsed = orjson.loads(schema)
        except orjson.JSONDecodeError:
            parsed = None
        if not isinstance(parsed, dict) or not jsonschema_rs.meta.is_valid({"$schema": DRAFT_4} | _without_ids(parsed)):
            raise errors.bad_request("Invalid model specified: Validation Result: warnings : [], errors : [Invalid model schema specified]")


def _without_ids(schema: Doc) -> Doc:
    """The schema as one of draft 4, whatever draft it says that it is of: API Gateway has no other."""
    return {key: value for key, value in schema.items() if key not in ("$schema", "id", "$id")}


@service.operation("CreateModel", on("POST", "/restapis/{restApiId}/models"))
async def create_model(ctx: Context, input: Input) -> Output:
    name = input["name"]
    model: Doc = {"id": ctx.host.ids.text(6), "name": name, "contentType": input["contentType"]}
    if input.get("description"):
        model["description"] = input["description"]

    def change(draft: Draft) -> Doc:
        if not name:
            raise errors.bad_request("Model name must be non-empty")
        if not name.isalnum() or not name.isascii():
            raise errors.bad_request("Model name must be alphanumeric: " + name)
        if name in draft.models:
            raise errors.conflict("Model name already exists for this REST API")
        check_schema(input.get("schema"), input["contentType"])
        draft.models[name] = model | {"schema": input["schema"]}
        return draft.models[name]

    return await change_draft(ctx, input["restApiId"], change)


def _model(draft: Draft | None, name: str) -> Doc:
    if draft is None or name not in draft.models:
        raise errors.no_model(name)
    return draft.models[name]


@service.operation("GetModel", on("GET", "/restapis/{restApiId}/models/{modelName}"))
async def get_model(ctx: Context, input: Input) -> Output:
    draft = await load_draft(ctx.store, input["restApiId"], ctx.region)
    model = _model(draft, input["modelName"])
    if input.get("flatten") and draft is not None:
        model = model | {"schema": orjson.dumps(_Flat(draft).of(orjson.loads(model["schema"]))).decode()}
    return model


class _Flat:
    """A schema with references to other models of the API replaced by what they name, up to a bound."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._left = MAX_FLAT

    def of(self, schema: object, depth: int = 0) -> object:
        self._left -= 1
        if depth > MAX_FLAT_DEPTH or self._left < 0:
            raise errors.bad_request("Model schema is nested too deeply")
        if isinstance(schema, list):
            return [self.of(one, depth + 1) for one in schema]
        if not isinstance(schema, dict):
            return schema
        reference, models = schema.get("$ref"), self._draft.models
        if isinstance(reference, str) and "/models/" in reference and (name := reference.rpartition("/")[2]) in models:
            return self.of(orjson.loads(models[name]["schema"]), depth + 1)
        return {key: self.of(value, depth + 1) for key, value in schema.items()}


@service.operation("GetModelTemplate", on("GET", "/restapis/{restApiId}/models/{modelName}/default_template"))
async def get_model_template(ctx: Context, input: Input) -> Output:
    draft = await load_draft(ctx.store, input["restApiId"], ctx.region)
    model = _model(draft, input["modelName"])
    assert draft is not None
    return {"value": sample(_Flat(draft).of(orjson.loads(model["schema"])))}


@service.operation("GetModels", on("GET", "/restapis/{restApiId}/models"))
async def get_models(ctx: Context, input: Input) -> Output:
    draft = await read_draft(ctx, input["restApiId"])
    return page(sorted(draft.models.values(), key=_name), input, _name)


def _name(doc: Doc) -> str:
    return str(doc["name"])


def _id(doc: Doc) -> str:
    return str(doc["id"])


@service.operation("UpdateModel", on("PATCH", "/restapis/{restApiId}/models/{modelName}"))
async def update_model(ctx: Context, input: Input) -> Output:
    name = input["modelName"]

    def change(draft: Draft) -> Doc:
        model = apply(_model(draft, name), input.get("patchOperations", []), MODEL_RULES, Style.LISTED)
        check_schema(model.get("schema"), model["contentType"])
        draft.models[name] = model
        return model

    return await change_draft(ctx, input["restApiId"], change, missing=lambda: errors.no_model(name))


@service.operation("DeleteModel", on("DELETE", "/restapis/{restApiId}/models/{modelName}"))
async def delete_model(ctx: Context, input: Input) -> Output:
    name = input["modelName"]

    def change(draft: Draft) -> None:
        _model(draft, name)
        for resource in sorted(draft.resources.values(), key=lambda one: str(one["path"])):
            for http_method, method in resource.get("resourceMethods", {}).items():
                where = f"{resource['path']}/{http_method}"
                if name in method.get("requestModels", {}).values():
                    raise errors.conflict(f"Cannot delete model '{name}', is referenced in method request: {where}")
                for status, response in method.get("methodResponses", {}).items():
                    if name in response.get("responseModels", {}).values():
                        raise errors.conflict(f"Cannot delete model '{name}', is referenced in method response: {where}/{status}")
        del draft.models[name]

    await change_draft(ctx, input["restApiId"], change, missing=lambda: errors.no_model(name))
    return {}


@service.operation("CreateRequestValidator", on("POST", "/restapis/{restApiId}/requestvalidators"))
async def create_request_validator(ctx: Context, input: Input) -> Output:
    validator: Doc = {"id": ctx.host.ids.text(6)}
    if "name" in input:
        validator["name"] = input["name"]
    for member in ("validateRequestBody", "validateRequestParameters"):
        validator[member] = input.get(member, False)

    def change(draft: Draft) -> None:
        draft.validators[validator["id"]] = validator

    await change_draft(ctx, input["restApiId"], change, missing=lambda: errors.bad_request("Invalid REST API identifier specified"))
    return validator


@service.operation("GetRequestValidator", on("GET", "/restapis/{restApiId}/requestvalidators/{requestValidatorId}"))
async def get_request_validator(ctx: Context, input: Input) -> Output:
    draft = await load_draft(ctx.store, input["restApiId"], ctx.region)
    if draft is None or input["requestValidatorId"] not in draft.validators:
        raise errors.no_validator()
    return draft.validators[input["requestValidatorId"]]


@service.operation("GetRequestValidators", on("GET", "/restapis/{restApiId}/requestvalidators"))
async def get_request_validators(ctx: Context, input: Input) -> Output:
    draft = await read_draft(ctx, input["restApiId"])
    return page(sorted(draft.validators.values(), key=_id), input, _id)


@service.operation("UpdateRequestValidator", on("PATCH", "/restapis/{restApiId}/requestvalidators/{requestValidatorId}"))
async def update_request_validator(ctx: Context, input: Input) -> Output:
    validator_id = input["requestValidatorId"]

    def change(draft: Draft) -> Doc:
        if validator_id not in draft.validators:
            raise errors.no_validator()
        validator = apply(draft.validators[validator_id], input.get("patchOperations", []), VALIDATOR_RULES, Style.LISTED)
        if not validator.get("name"):
            raise errors.bad_request("Request Validator name cannot be blank")
        draft.validators[validator_id] = validator
        return validator

    return await change_draft(ctx, input["restApiId"], change, missing=errors.no_validator)


@service.operation("DeleteRequestValidator", on("DELETE", "/restapis/{restApiId}/requestvalidators/{requestValidatorId}"))
async def delete_request_validator(ctx: Context, input: Input) -> Output:
    validator_id = input["requestValidatorId"]

    def change(draft: Draft) -> None:
        if validator_id not in draft.validators:
            raise errors.no_validator()
        for resource in draft.resources.values():
            for http_method, method in resource.get("resourceMethods", {}).items():
                if method.get("requestValidatorId") == validator_id:
                    where = f"{resource['path']}/{http_method}"
                    raise errors.conflict(f"Cannot delete request validator '{validator_id}', is referenced in method request: {where}")
        del draft.validators[validator_id]

    await change_draft(ctx, input["restApiId"], change, missing=errors.no_validator)
    return {}
