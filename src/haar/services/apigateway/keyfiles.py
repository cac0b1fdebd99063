"""ImportApiKeys: API keys from a file of comma-separated values.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-key-file-format.html
"""

import csv

from haar.services.apigateway import errors
from haar.services.apigateway.apikeys import MAX_KEYS, MAX_VALUE, MIN_VALUE
from haar.services.apigateway.demands import on
from haar.services.apigateway.face import service
from haar.services.apigateway.records import ACCOUNT, Doc, docs, get_doc, put_doc
from haar.services.service import Context, Input, Output
from haar.store.contract import Transaction

MAX_FILE = 4 * 1024 * 1024
"""Bytes of a file of keys."""
COLUMNS = ("name", "key", "description", "enabled", "usageplanids")


def read_file(body: bytes) -> list[dict[str, str]]:
    """The rows by lower-case column name. Raises BadRequestException for what is no such file. Pure."""
    try:
        rows = list(csv.reader(body.decode("utf-8-sig").splitlines(), strict=True))
    except (UnicodeDecodeError, csv.Error):
        raise errors.bad_request("Invalid API Key file: it is not comma-separated values in UTF-8") from None
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    if not {"name", "key"} <= set(header):
        raise errors.bad_request("Invalid API Key file: the columns name and key are required")
    return [{name: cell.strip() for name, cell in zip(header, row, strict=False) if name in COLUMNS} for row in rows[1:]]


@service.operation("ImportApiKeys", on("POST", "/apikeys"))
async def import_api_keys(ctx: Context, input: Input) -> Output:
    body, now = input["body"], int(ctx.now())
    if len(body) > MAX_FILE:
        raise errors.bad_request("Invalid API Key file: it is too large")
    rows = [(ctx.host.ids.text(10), row) for row in read_file(body)]

    async def run(tx: Transaction) -> tuple[list[str], list[str]]:
        known = {one["value"] for one in await docs(tx, ACCOUNT, ctx.region, "key/")}
        made: list[str] = []
        warnings: list[str] = []
        for key_id, row in rows:
            value = row.get("key", "")
            if not MIN_VALUE <= len(value) <= MAX_VALUE:
                raise errors.bad_request(f"API Key value should be at least {MIN_VALUE} characters")
            if value in known:
                warnings.append(f"API Key already exists: {row.get('name', '')}")
                continue
            if len(known) >= MAX_KEYS:
                raise errors.limit_exceeded("Maximum number of API keys has been reached")
            known.add(value)
            await _put(tx, ctx.region, key_id, row, now)
            made.append(key_id)
        if warnings and input.get("failOnWarnings"):
            raise errors.bad_request("; ".join(warnings))
        return made, warnings

    made, warnings = await ctx.store.transact(run)
    return {"ids": made, "warnings": warnings}


async def _put(tx: Transaction, region: str, key_id: str, row: dict[str, str], now: int) -> None:
    key: Doc = {"id": key_id, "value": row["key"], "name": row.get("name", "")}
    if row.get("description"):
        key["description"] = row["description"]
    enabled = row.get("enabled", "true").lower() != "false"
    key |= {"enabled": enabled, "createdDate": now, "lastUpdatedDate": now, "stageKeys": []}
    put_doc(tx, ACCOUNT, region, f"key/{key_id}", key)
    for plan_id in row.get("usageplanids", "").replace(";", ",").split(","):
        plan_id = plan_id.strip()
        if not plan_id:
            continue
        if "/" in plan_id or await get_doc(tx, ACCOUNT, region, f"plan/{plan_id}") is None:
            raise errors.no_plan()
        put_doc(tx, ACCOUNT, region, f"plankey/{plan_id}/{key_id}", {"keyId": key_id})
