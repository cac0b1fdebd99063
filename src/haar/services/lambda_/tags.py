"""Tags of functions, event source mappings and code signing configurations."""

import re
from collections.abc import Callable
from typing import NamedTuple

from haar.services.lambda_ import service
from haar.services.lambda_.access import tag_conditions
from haar.services.lambda_.codesigning import find_code_signing, no_code_signing, put_code_signing
from haar.services.lambda_.errors import invalid, no_function, not_found
from haar.services.lambda_.mappingrecords import Mapping, find_mapping, put_mapping
from haar.services.lambda_.mappings import arn_of
from haar.services.lambda_.names import FunctionName, parse_name
from haar.services.lambda_.records import CodeSigning, Function, find_function, put_function
from haar.services.lambda_.settings import check_tag_count, check_tags
from haar.services.service import Context, Demand, Demands, Input, Output
from haar.store.contract import Reader, Transaction
from haar.wire.errors import ServiceError

_MAPPING = re.compile(r"arn:aws:lambda:[a-z0-9-]+:\d{12}:event-source-mapping:([0-9a-f-]{36})")

Change = Callable[[dict[str, str]], dict[str, str]]
Record = Function | Mapping | CodeSigning


class Resource(NamedTuple):
    arn: str
    function: FunctionName | None = None
    mapping: str = ""
    """Its UUID; neither function nor mapping is a code signing configuration."""


def _resource(context: Context, input: Input) -> Resource:
    arn: str = input["Resource"]
    if found := _MAPPING.fullmatch(arn):
        return Resource(arn, mapping=found[1])
    if ":code-signing-config:" in arn:
        return Resource(arn)
    if ":function:" not in arn:
        raise invalid(f"haar has no resource of this kind to tag: {arn}")
    name = parse_name(arn, context.region, context.account)
    if name.qualifier:
        raise invalid("Tags on function aliases and versions are not supported. Please specify a function ARN.")
    return Resource(arn, function=name)


async def _find(reader: Reader, context: Context, resource: Resource) -> Record | None:
    if resource.function is not None:
        return await find_function(reader, resource.function) if resource.function.account == context.account else None
    if resource.mapping:
        return await find_mapping(reader, context.region, resource.mapping) if resource.arn == arn_of(context, resource.mapping) else None
    return await find_code_signing(reader, context, resource.arn)


def _missing(resource: Resource) -> ServiceError:
    if resource.function is not None:
        return no_function(resource.function.arn)
    return not_found(f"Event source mapping not found: {resource.arn}") if resource.mapping else no_code_signing(resource.arn)


def _on_resource(action: str) -> Demands:
    async def demands(context: Context, input: Input) -> list[Demand]:
        resource = _resource(context, input)
        conditions = tag_conditions(input.get("Tags", {}))
        if "TagKeys" in input:
            conditions = {"aws:TagKeys": input["TagKeys"]}
        record = await _find(context.store, context, resource)
        return [Demand(action, resource.arn, conditions, tags=record.tags if record else {})]

    return demands


@service.operation("ListTags", _on_resource("lambda:ListTags"))
async def list_tags(context: Context, input: Input) -> Output:
    resource = _resource(context, input)
    record = await _find(context.store, context, resource)
    if record is None:
        raise _missing(resource)
    return {"Tags": record.tags}


async def _change(context: Context, resource: Resource, change: Change) -> None:
    async def write(tx: Transaction) -> None:
        record = await _find(tx, context, resource)
        if record is None:
            raise _missing(resource)
        record.tags = change(record.tags)
        check_tag_count(record.tags)
        if isinstance(record, Mapping):
            put_mapping(tx, context.region, record)
        elif isinstance(record, CodeSigning):
            put_code_signing(tx, context.region, record)
        else:
            assert resource.function is not None
            put_function(tx, resource.function, record)

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
