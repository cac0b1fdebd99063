"""What API Gateway keeps.

An API is a few rows: its draft (everything that PutMethod and the like change), and, each in a row of its own, the stages,
deployments and their snapshots. A snapshot is the draft as it was when it was deployed; the data plane serves snapshots only, and
only the rows that it reads are in the space that its cache watches. Records have AWS's own member names, so that what is kept is
what is shown.

    apigateway.drafts    api id                          the draft
    apigateway.live      api id, `stage/NAME`            a stage
                         api id, `deployment/ID`         a deployment, as the API shows it
                         api id, `snapshot/ID`           the draft of that deployment
    apigateway.index     region, api id                  which APIs a region has
    apigateway.domains   domain name, `name`             a custom domain name
                         domain name, `mapping/BASE`     what is behind a base path of it
                         region, domain name             which a region has
    apigateway.account   region, `account` `key/ID` `plan/ID` `plankey/PLAN/KEY` `association/ARN`
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import orjson

from haar.services.apigateway import errors
from haar.services.service import Context
from haar.store.contract import Reader, Transaction

DRAFTS = "apigateway.drafts"
LIVE = "apigateway.live"
OTHER_LIVE = "apigatewayv2.live"
"""Where HTTP and WebSocket APIs keep the same: stages of the latter may be in usage plans."""
INDEX = "apigateway.index"
ACCOUNT = "apigateway.account"
DOMAINS = "apigateway.domains"
ASSOCIATION = "association/"
"""How the keys of domain name access associations begin."""

T = TypeVar("T")
Doc = dict[str, Any]


class Draft(msgspec.Struct):
    """An API as it is being edited; also what a snapshot keeps."""

    region: str
    api: Doc
    """RestApi, as the API shows it."""
    resources: dict[str, Doc]
    """By id: Resource with its `resourceMethods`."""
    models: dict[str, Doc] = {}
    """By name."""
    validators: dict[str, Doc] = {}
    authorizers: dict[str, Doc] = {}
    gateway_responses: dict[str, Doc] = {}
    """By response type: only those that were set."""
    documentation: dict[str, Doc] = {}

    def resource(self, resource_id: str) -> Doc:
        found = self.resources.get(resource_id)
        if found is None:
            raise errors.no_resource()
        return found

    def method(self, resource_id: str, http_method: str) -> Doc:
        found: Doc | None = self.resource(resource_id).get("resourceMethods", {}).get(http_method)
        if found is None:
            raise errors.no_method()
        return found

    def integration(self, resource_id: str, http_method: str) -> Doc:
        found: Doc | None = self.method(resource_id, http_method).get("methodIntegration")
        if found is None:
            raise errors.no_integration()
        return found


class _Head(msgspec.Struct):
    """A draft without its parts, which are not even read."""

    region: str
    api: Doc


_decode = msgspec.json.Decoder(Draft).decode
_decode_head = msgspec.json.Decoder(_Head).decode
_encode = msgspec.json.Encoder().encode


def encode_draft(draft: Draft) -> bytes:
    return _encode(draft)


def decode_draft(value: bytes) -> Draft:
    return _decode(value)


async def load_draft(reader: Reader, api_id: str, region: str) -> Draft | None:
    value = await reader.get(DRAFTS, api_id.encode())
    if value is None:
        return None
    draft = _decode(value)
    return draft if draft.region == region else None


async def load_api(reader: Reader, api_id: str, region: str) -> Doc | None:
    """The RestApi alone."""
    value = await reader.get(DRAFTS, api_id.encode())
    head = None if value is None else _decode_head(value)
    return head.api if head is not None and head.region == region else None


async def read_draft(ctx: Context, api_id: str) -> Draft:
    """The API's draft. Raises NotFoundException when the caller's region has none of this id."""
    draft = await load_draft(ctx.store, api_id, ctx.region)
    if draft is None:
        raise errors.no_api(ctx.account, api_id)
    return draft


async def read_parts(ctx: Context, api_id: str) -> Draft:
    """The draft, for calls on resources and methods: there AWS answers an unknown API as an unknown resource."""
    draft = await load_draft(ctx.store, api_id, ctx.region)
    if draft is None:
        raise errors.no_resource()
    return draft


async def change_draft(ctx: Context, api_id: str, change: Callable[[Draft], T], *, missing: Callable[[], Exception] | None = None) -> T:
    """Changes the draft in one transaction; `change` may run more than once and touches nothing but the draft."""

    async def run(tx: Transaction) -> T:
        draft = await load_draft(tx, api_id, ctx.region)
        if draft is None:
            raise missing() if missing else errors.no_api(ctx.account, api_id)
        result = change(draft)
        tx.put(DRAFTS, api_id.encode(), b"", _encode(draft))
        return result

    return await ctx.store.transact(run)


async def change_parts(ctx: Context, api_id: str, change: Callable[[Draft], T]) -> T:
    """As `change_draft`, for calls on resources and methods."""
    return await change_draft(ctx, api_id, change, missing=errors.no_resource)


async def get_doc(reader: Reader, space: str, partition: str, sort: str) -> Doc | None:
    value = await reader.get(space, partition.encode(), sort.encode())
    return None if value is None else orjson.loads(value)


def put_doc(tx: Transaction, space: str, partition: str, sort: str, doc: Doc) -> None:
    tx.put(space, partition.encode(), sort.encode(), orjson.dumps(doc))


async def docs(reader: Reader, space: str, partition: str, prefix: str) -> list[Doc]:
    """All documents whose sort key starts with `prefix`, in order of their keys."""
    start = prefix.encode()
    rows = await reader.range(space, partition.encode(), start, start[:-1] + bytes([start[-1] + 1]))
    return [orjson.loads(value) for _, value in rows]


async def update_doc(
    ctx: Context, space: str, partition: str, sort: str, change: Callable[[Doc], Doc], missing: Callable[[], Exception]
) -> Doc:
    """Replaces a document by what `change` makes of it, in one transaction."""

    async def run(tx: Transaction) -> Doc:
        doc = await get_doc(tx, space, partition, sort)
        if doc is None:
            raise missing()
        changed = change(doc)
        put_doc(tx, space, partition, sort, changed)
        return changed

    return await ctx.store.transact(run)


async def in_api(ctx: Context, api_id: str, run: Callable[[Transaction, Draft], Awaitable[T]]) -> T:
    """One transaction that reads the draft and whatever `run` touches besides."""

    async def whole(tx: Transaction) -> T:
        draft = await load_draft(tx, api_id, ctx.region)
        if draft is None:
            raise errors.no_api(ctx.account, api_id)
        return await run(tx, draft)

    return await ctx.store.transact(whole)
