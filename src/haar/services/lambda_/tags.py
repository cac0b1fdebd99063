"""Tags of functions."""

from haar.services.lambda_ import service
from haar.services.lambda_.access import tag_conditions, tags_of
from haar.services.lambda_.errors import invalid, no_function
from haar.services.lambda_.names import FunctionName, parse_name
from haar.services.lambda_.records import Function, find_function, put_function
from haar.services.service import Context, Demand, Demands, Input, Output
from haar.store.contract import Transaction

MAX_TAGS = 50


def _resource(context: Context, input: Input) -> FunctionName:
    arn = input["Resource"]
    if ":function:" not in arn:
        raise invalid(f"haar has no resource of this kind to tag: {arn}")
    name = parse_name(arn, context.region, context.account)
    if name.qualifier:
        raise invalid("Tags on function aliases and versions are not supported. Please specify a function ARN.")
    return name


def _on_resource(action: str) -> Demands:
    async def demands(context: Context, input: Input) -> list[Demand]:
        name = _resource(context, input)
        conditions = tag_conditions(input.get("Tags", {}))
        if "TagKeys" in input:
            conditions = {"aws:TagKeys": input["TagKeys"]}
        return [Demand(action, name.arn, conditions, tags=await tags_of(context, name))]

    return demands


@service.operation("ListTags", _on_resource("lambda:ListTags"))
async def list_tags(context: Context, input: Input) -> Output:
    name = _resource(context, input)
    function = await find_function(context.store, name)
    if function is None:
        raise no_function(name.arn)
    return {"Tags": function.tags}


async def _change(context: Context, name: FunctionName, tags: dict[str, str], gone: list[str]) -> None:
    async def write(tx: Transaction) -> None:
        function: Function | None = await find_function(tx, name)
        if function is None:
            raise no_function(name.arn)
        function.tags = {key: value for key, value in (function.tags | tags).items() if key not in gone}
        if len(function.tags) > MAX_TAGS:
            raise invalid("Number of tags exceeds resource tag limit.")
        put_function(tx, name, function)

    await context.store.transact(write)


@service.operation("TagResource", _on_resource("lambda:TagResource"))
async def tag_resource(context: Context, input: Input) -> Output:
    if not input["Tags"]:
        raise invalid("An error occurred and the request cannot be processed.")
    await _change(context, _resource(context, input), input["Tags"], [])
    return {}


@service.operation("UntagResource", _on_resource("lambda:UntagResource"))
async def untag_resource(context: Context, input: Input) -> Output:
    await _change(context, _resource(context, input), {}, input["TagKeys"])
    return {}
