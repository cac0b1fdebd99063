"""Service last accessed details: which services a user, a group, a role or a policy lets use, and when each was used last.

https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_last-accessed.html
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from haar.policy.actions import service_names
from haar.policy.document import Policy as Compiled
from haar.services.iam import errors, shapes
from haar.services.iam.catalog import find_policy
from haar.services.iam.demands import anywhere
from haar.services.iam.documents import Compiler
from haar.services.iam.entities import attachments, decode, encode, find_holder
from haar.services.iam.groups import members_of
from haar.services.iam.paging import page
from haar.services.iam.records import ACCESSED, Group, Holder, Role, Used, User
from haar.services.iam.service import service
from haar.services.iam.simulate import need_holder
from haar.services.iam.subjects import sources
from haar.services.service import Context, Demand, Input, Output
from haar.store.contract import Transaction

REPORTS = "iam.reports"
KEEP_SECONDS = 7 * 86_400.0
CLEAN_SLICE = 100
"""Reports that are looked at, whether they are too old, when another is made."""
DEFAULT_ITEMS = 100
MAX_ENTITIES = 2_000
"""Whose use is looked up for one report."""


class Report(msgspec.Struct):
    arn: str
    created: float


def _on_arn(ctx: Context, input: Input) -> Sequence[Demand]:
    return [Demand("iam:GenerateServiceLastAccessedDetails", input["Arn"])]


@service.operation("GenerateServiceLastAccessedDetails", _on_arn)
async def generate_service_last_accessed_details(ctx: Context, input: Input) -> Output:
    if input.get("Granularity", "SERVICE_LEVEL") != "SERVICE_LEVEL":
        raise errors.invalid_input("haar does not know when single actions were used: Granularity must be SERVICE_LEVEL.")
    await _documents(ctx, input["Arn"])
    job_id, now = ctx.host.ids.uuid(), ctx.now()
    old = [
        row.partition for row in await ctx.store.scan(REPORTS, limit=CLEAN_SLICE) if decode(row.value, Report).created < now - KEEP_SECONDS
    ]

    async def write(tx: Transaction) -> None:
        for each in old:
            tx.delete(REPORTS, each)
        tx.put(REPORTS, job_id.encode(), b"", encode(Report(input["Arn"], now)))

    await ctx.store.transact(write)
    return {"JobId": job_id}


async def _report(ctx: Context, job_id: str) -> Report:
    raw = await ctx.store.get(REPORTS, job_id.encode())
    report = None if raw is None else decode(raw, Report)
    if report is None or report.created < ctx.now() - KEEP_SECONDS:
        raise errors.no_such_entity(f"The job with id {job_id} cannot be found.")
    return report


async def _documents(ctx: Context, arn: str) -> list[Compiled]:
    """The policies that are asked about. Raises InvalidInput, NoSuchEntity."""
    compiler = ctx.host.get(Compiler)
    if ":policy/" in arn:
        policy = await find_policy(ctx.store, ctx.account, arn)
        if policy is None:
            raise errors.policy_not_found(arn)
        return [compiler.policy(policy.document, arn)]
    holder = await need_holder(ctx, arn)
    return [compiler.policy(source.document, source.key) for source in await sources(ctx.host, holder)]


async def _entities(ctx: Context, arn: str) -> AsyncIterator[Holder]:
    """The users and roles whose use counts, each once."""
    holders: list[Holder] = []
    if ":policy/" in arn:
        for noun, name in dict.fromkeys((noun, name) for noun, name, _ in await attachments(ctx.store, arn)):
            holder = await find_holder(ctx.store, noun, name)
            holders += [] if holder is None else [holder]
    else:
        holders.append(await need_holder(ctx, arn))
    seen: set[str] = set()
    for holder in holders:
        found: Sequence[Holder] = await members_of(ctx.store, holder.name) if isinstance(holder, Group) else [holder]
        for each in found:
            if each.id not in seen and len(seen) < MAX_ENTITIES:
                seen.add(each.id)
                yield each
                await asyncio.sleep(0)


async def _uses(ctx: Context, holder: Holder) -> dict[str, Used]:
    rows = await ctx.store.range(ACCESSED, holder.id.encode())
    return {sort.decode(): decode(value, Used) for sort, value in rows}


@service.operation("GetServiceLastAccessedDetails", anywhere)
async def get_service_last_accessed_details(ctx: Context, input: Input) -> Output:
    report = await _report(ctx, input["JobId"])
    policies = await _documents(ctx, report.arn)
    latest: dict[str, tuple[Used, str]] = {}
    counted: dict[str, int] = {}
    async for holder in _entities(ctx, report.arn):
        for namespace, used in (await _uses(ctx, holder)).items():
            counted[namespace] = counted.get(namespace, 0) + 1
            if namespace not in latest or used.at > latest[namespace][0].at:
                latest[namespace] = used, holder.arn(ctx.account)
    shown = []
    for namespace, name in service_names().items():
        if not any(statement.allow for policy in policies for statement in policy.about(namespace)):
            continue
        entry: dict[str, Any] = {
            "ServiceName": name,
            "ServiceNamespace": namespace,
            "TotalAuthenticatedEntities": counted.get(namespace, 0),
        }
        if namespace in latest:
            used, arn = latest[namespace]
            entry |= {
                "LastAuthenticated": shapes.when(used.at),
                "LastAuthenticatedEntity": arn,
                "LastAuthenticatedRegion": used.region,
            }
        shown.append(entry)
    chosen, more = page(shown, input, lambda entry: str(entry["ServiceNamespace"]), default=DEFAULT_ITEMS)
    return {**_head(report), "JobType": "SERVICE_LEVEL", "ServicesLastAccessed": chosen, **more}


def _head(report: Report) -> dict[str, Any]:
    """A report is made when it is fetched: it is complete at once."""
    made = shapes.when(report.created)
    return {"JobStatus": "COMPLETED", "JobCreationDate": made, "JobCompletionDate": made}


@service.operation("GetServiceLastAccessedDetailsWithEntities", anywhere)
async def get_service_last_accessed_details_with_entities(ctx: Context, input: Input) -> Output:
    report = await _report(ctx, input["JobId"])
    found: list[dict[str, Any]] = []
    async for holder in _entities(ctx, report.arn):
        used = (await _uses(ctx, holder)).get(input["ServiceNamespace"])
        if isinstance(holder, User | Role):
            info = {"Arn": holder.arn(ctx.account), "Name": holder.name, "Type": holder.noun.upper(), "Id": holder.id, "Path": holder.path}
            found.append({"EntityInfo": info} | ({"LastAuthenticated": shapes.when(used.at)} if used else {}))
    found.sort(key=lambda entry: str(entry["EntityInfo"]["Arn"]))
    chosen, more = page(found, input, lambda entry: str(entry["EntityInfo"]["Arn"]), default=DEFAULT_ITEMS)
    return {**_head(report), "EntityDetailsList": chosen, **more}
