"""Tags of functions and event source mappings."""

import re
from collections.abc import Callable
from typing import NamedTuple

from haar.services.lambda_ import service
from haar.services.lambda_.access import tag_conditions, tags_of
from haar.services.lambda_.errors import invalid, no_function, not_found
from haar.services.lambda_.mappingrecords import find_mapping, put_mapping
from haar.services.lambda_.names import FunctionName, parse_name
from haar.services.lambda_.records import find_function, put_function
from haar.services.lambda_.settings import check_tag_count, check_tags
from haar.services.service import Context, Demand, Demands, Input, Output
from haar.store.contract import Transaction
from haar.wire.errors import ServiceError

_MAPPING = re.compile(r"arn:aws:lambda:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):event-source-mapping:(?P<uuid>[0-9a-f-]{36})")

Change = Callable[[dict[str, str]], dict[str, str]]


class MappingName(NamedTuple):
    arn: str
    region: str
    uuid: str


def _no_mapping(mapping: MappingName) -> ServiceError:
    return not_found(f"Event source mapping not found: {mapping.arn}")


def _resource(context: Context, input: Input) -> FunctionName | MappingName:
    arn = input["Resource"]
    if (found := _MAPPING.fullmatch(arn)) and found["account"] == context.account:
        return MappingName(arn, found["region"], found["uuid"])
    if ":function:" not in arn:
        raise invalid(f"haar has no resource of this kind to tag: {arn}")
    name = parse_name(arn, context.region, context.account)
    if name.qualifier:
        raise invalid("Tags on function aliases and versions are not supported. Please specify a function ARN.")
    return name


async def _tags(context: Context, resource: FunctionName | MappingName) -> dict[str, str]:
    if isinstance(resource, FunctionName):
        return dict(await tags_of(context, resource))
    mapping = await find_mapping(context.store, resource.region, resource.uuid)
    return mapping.tags if mapping else {}


def _on_resource(action: str) -> Demands:
    async def demands(context: Context, input: Input) -> list[Demand]:
        resource = _resource(context, input)
        conditions = tag_conditions(input.get("Tags", {}))
        if "TagKeys" in input:
            conditions = {"aws:TagKeys": input["TagKeys"]}
        return [Demand(action, resource.arn, conditions, tags=await _tags(context, resource))]

    return demands


@service.operation("ListTags", _on_resource("lambda:ListTags"))
async def list_tags(context: Context, input: Input) -> Output:
    resource = _resource(context, input)
    if isinstance(resource, MappingName):
        if await find_mapping(context.store, resource.region, resource.uuid) is None:
            raise _no_mapping(resource)
    elif await find_function(context.store, resource) is None:
        raise no_function(resource.arn)
    return {"Tags": await _tags(context, resource)}


def _checked(tags: dict[str, str]) -> dict[str, str]:
    check_tag_count(tags)
    return tags


async def _change(context: Context, resource: FunctionName | MappingName, change: Change) -> None:
    async def write(tx: Transaction) -> None:
        if isinstance(resource, MappingName):
            mapping = await find_mapping(tx, resource.region, resource.uuid)
            if mapping is None:
                raise _no_mapping(resource)
            mapping.tags = _checked(change(mapping.tags))
            put_mapping(tx, resource.region, mapping)
            return
        function = await find_function(tx, resource)
        if function is None:
            raise no_function(resource.arn)
        function.tags = _checked(change(function.tags))
        put_function(tx, resource, function)

    await context.store.transact(write)


@service.operation("TagResource", _on_resource("lambda:TagResource"))
async def tag_resource(context: Context, input: Input) -> Output:
    if not input["Tags"]:
        raise invalid("An error occurred and the request cannot be processed.")
    check_tags(input["Tags"])
    await _change(context, _resource(context, input), lambda tags: tags | input["Tags"])
    return {}


@service.operation("UntagResource", _on_resource("lambda:UntagResource"))
async def untag_resource(context: Context, input: Input) -> Output:
    gone = set(input["TagKeys"])
    await _change(context, _resource(context, input), lambda tags: {key: value for key, value in tags.items() if key not in gone})
    return {}
