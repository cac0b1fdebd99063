"""Queries that are kept under a name."""

from typing import Any

import msgspec

from haar.services.logs import service
from haar.services.logs.access import on_anything
from haar.services.logs.errors import invalid
from haar.services.logs.paging import offset, onward
from haar.services.service import Context, Input, Output
from haar.store.contract import Transaction
from haar.wire.errors import ServiceError

DEFINITIONS = "logs.definitions"
"""Region, id: a Definition."""
MAX_DEFINITIONS = 1000
"""Of a region."""
DESCRIBE_LIMIT = 1000


class Definition(msgspec.Struct, omit_defaults=True):
    id: str
    name: str
    query: str
    groups: list[str]
    modified: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Definition).decode


def _missing() -> ServiceError:
    return ServiceError("ResourceNotFoundException", "The specified query definition does not exist.")


@service.operation("PutQueryDefinition", on_anything("logs:PutQueryDefinition"))
async def put_query_definition(context: Context, input: Input) -> Output:
    if input.get("queryLanguage", "CWLI") != "CWLI" or input.get("parameters"):
        raise invalid("haar has queries in its own language (CWLI) and without parameters only")
    known = input.get("queryDefinitionId")
    fresh, region = context.host.ids.uuid(), context.region.encode()
    made = Definition(known or fresh, input["name"], input["queryString"], input.get("logGroupNames", []), int(context.now() * 1000))

    async def put(tx: Transaction) -> None:
        if known and await tx.get(DEFINITIONS, region, known.encode()) is None:
            raise _missing()
        if not known and len(await tx.range(DEFINITIONS, region, limit=MAX_DEFINITIONS)) >= MAX_DEFINITIONS:
            raise ServiceError("LimitExceededException", "Resource limit exceeded.")
        tx.put(DEFINITIONS, region, made.id.encode(), _encode(made))

    await context.store.transact(put)
    return {"queryDefinitionId": made.id}


@service.operation("DeleteQueryDefinition", on_anything("logs:DeleteQueryDefinition"))
async def delete_query_definition(context: Context, input: Input) -> Output:
    place = DEFINITIONS, context.region.encode(), input["queryDefinitionId"].encode()

    async def delete(tx: Transaction) -> None:
        if await tx.get(*place) is None:
            raise _missing()
        tx.delete(*place)

    await context.store.transact(delete)
    return {"success": True}


@service.operation("DescribeQueryDefinitions", on_anything("logs:DescribeQueryDefinitions"))
async def describe_query_definitions(context: Context, input: Input) -> Output:
    rows = await context.store.range(DEFINITIONS, context.region.encode())
    prefix = input.get("queryDefinitionNamePrefix", "")
    found = sorted((one for _, value in rows if (one := _decode(value)).name.startswith(prefix)), key=lambda one: (one.name, one.id))
    start, most = offset(input.get("nextToken")), input.get("maxResults", DESCRIBE_LIMIT)
    return {"queryDefinitions": [_shown(one) for one in found[start : start + most]]} | onward(start, most, len(found))


def _shown(one: Definition) -> dict[str, Any]:
    shown = {
        "queryLanguage": "CWLI",
        "queryDefinitionId": one.id,
        "name": one.name,
        "queryString": one.query,
        "lastModified": one.modified,
    }
    return shown | ({"logGroupNames": one.groups} if one.groups else {})
