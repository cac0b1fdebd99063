"""Which context keys policies ask for, and which policies grant access to a service."""

import re
from collections.abc import Iterable
from typing import Any

import orjson

from haar.services.iam.demands import anywhere
from haar.services.iam.documents import Compiler
from haar.services.iam.paging import page
from haar.services.iam.records import Holder
from haar.services.iam.service import service
from haar.services.iam.simulate import check_given, need_holder, on_source
from haar.services.iam.subjects import Source, groups_of, own_sources, sources
from haar.services.service import Context, Demand, Input, Output

VARIABLE = re.compile(r"\$\{([^},*?$]+)")


def keys_of(documents: Iterable[str]) -> list[str]:
    """The condition keys and policy variables of policy documents, each once, in order of appearance."""
    found: dict[str, None] = {}
    for document in documents:
        statements = orjson.loads(document).get("Statement", [])
        for statement in statements if isinstance(statements, list) else [statements]:
            for block in statement.get("Condition", {}).values():
                found |= dict.fromkeys(block)
            for text in _texts([statement.get("Resource"), statement.get("NotResource"), statement.get("Condition")]):
                found |= dict.fromkeys(name.strip() for name in VARIABLE.findall(text))
    return list(found)


def _texts(value: Any) -> Iterable[str]:
    """All strings inside a JSON value, without the keys of its objects."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))


@service.operation("GetContextKeysForCustomPolicy", anywhere)
async def get_context_keys_for_custom_policy(ctx: Context, input: Input) -> Output:
    for document in input["PolicyInputList"]:
        check_given(document)
    return {"ContextKeyNames": keys_of(input["PolicyInputList"])}


@service.operation("GetContextKeysForPrincipalPolicy", on_source)
async def get_context_keys_for_principal_policy(ctx: Context, input: Input) -> Output:
    holder = await need_holder(ctx, input["PolicySourceArn"])
    given = input.get("PolicyInputList", [])
    for document in given:
        check_given(document)
    return {"ContextKeyNames": keys_of([source.document for source in await sources(ctx.host, holder)] + given)}


def _on_arn(ctx: Context, input: Input) -> list[Demand]:
    return [Demand(f"iam:{ctx.operation}", input["Arn"])]


@service.operation("ListPoliciesGrantingServiceAccess", _on_arn)
async def list_policies_granting_service_access(ctx: Context, input: Input) -> Output:
    """The policies with a statement that allows something of each service (whatever its conditions)."""
    holder = await need_holder(ctx, input["Arn"])
    holders = [holder, *await groups_of(ctx.host, holder)]
    held = [(entity, source) for entity in holders for source in await own_sources(ctx.host, entity)]
    found = []
    for namespace in input["ServiceNamespaces"]:
        policies = [_granting(entity, source) for entity, source in held if _grants(ctx, source, namespace)]
        found.append({"ServiceNamespace": namespace, "Policies": policies})
    chosen, more = page(found, input, lambda entry: str(entry["ServiceNamespace"]))
    return {"PoliciesGrantingServiceAccess": chosen, **more}


def _grants(ctx: Context, source: Source, namespace: str) -> bool:
    policy = ctx.host.get(Compiler).policy(source.document, source.id)
    return any(statement.allow for statement in policy.about(namespace.lower()))


def _granting(entity: Holder, source: Source) -> dict[str, str]:
    if source.arn:
        return {"PolicyName": source.id, "PolicyType": "MANAGED", "PolicyArn": source.arn}
    name = source.id.removeprefix(f"{entity.noun}_{entity.name}_")
    return {"PolicyName": name, "PolicyType": "INLINE", "EntityType": entity.noun.upper(), "EntityName": entity.name}
