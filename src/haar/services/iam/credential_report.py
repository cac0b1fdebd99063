"""The credential report: every user's passwords, keys and devices, as a CSV file."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from haar.services.iam.demands import anywhere
from haar.services.iam.entities import decode, encode
from haar.services.iam.paging import everything
from haar.services.iam.records import ACCOUNT, KEYS, USED, AccessKey, Used, User
from haar.services.iam.root import find_root, root_created
from haar.services.iam.service import service
from haar.services.iam.shapes import when
from haar.services.service import Context, Input, Output
from haar.store.contract import Reader, Transaction
from haar.wire.errors import ServiceError

ROW = b"credential-report"
LIFE_SECONDS = 4 * 3600
"""A report is made anew when it is older, and can be fetched for so long."""
COLUMNS = [
    "user",
    "arn",
    "user_creation_time",
    "password_enabled",
    "password_last_used",
    "password_last_changed",
    "password_next_rotation",
    "mfa_active",
    "access_key_1_active",
    "access_key_1_last_rotated",
    "access_key_1_last_used_date",
    "access_key_1_last_used_region",
    "access_key_1_last_used_service",
    "access_key_2_active",
    "access_key_2_last_rotated",
    "access_key_2_last_used_date",
    "access_key_2_last_used_region",
    "access_key_2_last_used_service",
    "cert_1_active",
    "cert_1_last_rotated",
    "cert_2_active",
    "cert_2_last_rotated",
]
NONE, UNKNOWN, UNSUPPORTED = "N/A", "no_information", "not_supported"
NO_KEY = ("false", NONE, NONE, NONE, NONE)
NO_CERTIFICATES = ("false", NONE, "false", NONE)


class Report(msgspec.Struct, kw_only=True):
    content: bytes
    made: float


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()


async def _key_columns(reader: Reader, key_id: str, active: bool, created: float) -> Sequence[str]:
    raw = await reader.get(USED, key_id.encode())
    used = (NONE, NONE, NONE) if raw is None else (_time((use := decode(raw, Used)).at), use.region, use.service)
    return (str(active).lower(), _time(created), *used)


async def _row(reader: Reader, account: str, user: User) -> list[str]:
    login = user.login
    password = ("false", NONE, NONE, NONE) if login is None else ("true", UNKNOWN, _time(login.created), NONE)
    columns = [user.name, user.arn(account), _time(user.created), *password, str(bool(user.mfa)).lower()]
    for number in range(2):
        raw = await reader.get(KEYS, user.keys[number].encode()) if number < len(user.keys) else None
        if raw is None:
            columns += NO_KEY
        else:
            key = decode(raw, AccessKey)
            columns += await _key_columns(reader, key.id, key.active, key.created)
    return [*columns, *NO_CERTIFICATES]


async def _root_row(ctx: Context) -> list[str]:
    root = await find_root(ctx.host)
    columns = ["<root_account>", f"arn:aws:iam::{ctx.account}:root", _time(await root_created(ctx.host))]
    columns += [UNSUPPORTED, UNKNOWN, UNSUPPORTED, UNSUPPORTED, "false"]
    columns += NO_KEY if root is None else await _key_columns(ctx.store, root.id, True, root.created)
    return [*columns, *NO_KEY, *NO_CERTIFICATES]


@service.operation("GenerateCredentialReport", anywhere)
async def generate_credential_report(ctx: Context, input: Input) -> Output:
    """The report is ready at once; one younger than four hours is kept."""
    raw = await ctx.store.get(ACCOUNT, ROW)
    if raw is not None and ctx.now() - decode(raw, Report).made < LIFE_SECONDS:
        return {"State": "COMPLETE"}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerow(await _root_row(ctx))
    async for user in everything(ctx.store, User):
        writer.writerow(await _row(ctx.store, ctx.account, user))
    report = Report(content=text.getvalue().encode(), made=ctx.now())

    async def write(tx: Transaction) -> None:
        tx.put(ACCOUNT, ROW, b"", encode(report))

    await ctx.store.transact(write)
    return {"State": "STARTED", "Description": "No report exists. Starting a new report generation task"}


@service.operation("GetCredentialReport", anywhere)
async def get_credential_report(ctx: Context, input: Input) -> Output:
    raw = await ctx.store.get(ACCOUNT, ROW)
    if raw is None:
        raise ServiceError("ReportNotPresent", "No report exists. Generate a new report with GenerateCredentialReport.", 410)
    report = decode(raw, Report)
    if ctx.now() - report.made >= LIFE_SECONDS:
        raise ServiceError("ReportExpired", "The report has expired. Generate a new report with GenerateCredentialReport.", 410)
    return {"Content": report.content, "ReportFormat": "text/csv", "GeneratedTime": when(report.made)}
