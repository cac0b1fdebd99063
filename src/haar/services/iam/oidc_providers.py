"""OpenID Connect providers: who issues web identities that roles may trust."""

import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

import msgspec

from haar.services.iam import errors, shapes
from haar.services.iam.demands import anywhere, asked
from haar.services.iam.entities import count_new, decode, forget, put, uncounted
from haar.services.iam.paging import everything, page
from haar.services.iam.records import Entity, partition
from haar.services.iam.service import service
from haar.services.iam.tags import checked, merged, without
from haar.services.service import Context, Demand, Input, Output
from haar.store.contract import Reader, Transaction

MAX_CLIENTS = 100
MAX_THUMBPRINTS = 5
THUMBPRINT = re.compile(r"[0-9a-fA-F]{40}")


class Provider(Entity, kw_only=True, omit_defaults=True):
    """Its name is its URL without the scheme."""

    space: ClassVar[str] = "iam.oidc"
    noun: ClassVar[str] = "oidc-provider"
    title: ClassVar[str] = "OpenIDConnectProvider"
    prefix: ClassVar[str] = ""
    quota: ClassVar[tuple[str, int]] = ("OpenIdConnectProvidersPerAccount", 100)

    clients: list[str] = msgspec.field(default_factory=list)
    thumbprints: list[str] = msgspec.field(default_factory=list)


def arn_of(account: str, name: str) -> str:
    return f"arn:aws:iam::{account}:oidc-provider/{name}"


async def clients_of(reader: Reader, name: str) -> list[str] | None:
    """The audiences of a provider; None when there is none of this name."""
    raw = await reader.get(Provider.space, partition(name))
    return None if raw is None else decode(raw, Provider).clients


async def _need(reader: Reader, account: str, arn: str) -> Provider:
    """The provider; raises NoSuchEntity."""
    name = arn.removeprefix(arn_of(account, ""))
    raw = await reader.get(Provider.space, partition(name)) if name != arn else None
    if raw is None:
        raise errors.no_such_entity(f"OpenIDConnect Provider not found for arn {arn}")
    return decode(raw, Provider)


async def _on_provider(ctx: Context, input: Input) -> Sequence[Demand]:
    arn = input["OpenIDConnectProviderArn"]
    raw = await ctx.store.get(Provider.space, partition(arn.removeprefix(arn_of(ctx.account, ""))))
    tags = decode(raw, Provider).tags if raw is not None else {}
    return [Demand(f"iam:{ctx.operation}", arn, asked(input), tags=tags)]


def _name(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or parts.port:
        raise errors.validation("Invalid Open ID Connect Provider URL")
    return (parts.hostname + parts.path).rstrip("/")


def _thumbprints(given: Sequence[str]) -> list[str]:
    if len(given) > MAX_THUMBPRINTS:
        raise errors.invalid_input(f"Thumbprint list must contain fewer than {MAX_THUMBPRINTS + 1} entries.")
    for thumbprint in given:
        if not THUMBPRINT.fullmatch(thumbprint):
            raise errors.invalid_input("Thumbprint must be 40 hexadecimal characters.")
    return [thumbprint.lower() for thumbprint in given]


def _making(ctx: Context, input: Input) -> Sequence[Demand]:
    arn = arn_of(ctx.account, _name(input["Url"]))
    demands = [Demand("iam:CreateOpenIDConnectProvider", arn, asked(input))]
    if input.get("Tags"):
        demands.append(Demand("iam:TagOpenIDConnectProvider", arn, asked(input)))
    return demands


@service.operation("CreateOpenIDConnectProvider", _making)
async def create_open_id_connect_provider(ctx: Context, input: Input) -> Output:
    errors.refuse_unbuilt(input, "ContextProvider", "IdentityCenterInstanceArn")
    provider = Provider(
        name=_name(input["Url"]),
        path="/",
        id="",
        created=ctx.now(),
        tags=checked(input.get("Tags", ())),
        clients=list(dict.fromkeys(input.get("ClientIDList", ()))),
        thumbprints=_thumbprints(input.get("ThumbprintList", ())),
    )
    if len(provider.clients) > MAX_CLIENTS:
        raise errors.quota("ClientIdsPerOpenIdConnectProvider", MAX_CLIENTS)
    arn, before = arn_of(ctx.account, provider.name), await uncounted(ctx.store, Provider)

    async def write(tx: Transaction) -> None:
        if await tx.get(Provider.space, partition(provider.name)) is not None:
            raise errors.already_exists(f"Provider with url {input['Url']} already exists.")
        await count_new(tx, Provider, before)
        put(tx, provider)

    await ctx.store.transact(write)
    return {"OpenIDConnectProviderArn": arn, **({"Tags": shapes.tag_list(provider.tags)} if provider.tags else {})}


@service.operation("GetOpenIDConnectProvider", _on_provider)
async def get_open_id_connect_provider(ctx: Context, input: Input) -> Output:
    provider = await _need(ctx.store, ctx.account, input["OpenIDConnectProviderArn"])
    return {
        "Url": provider.name,
        "ClientIDList": provider.clients,
        "ThumbprintList": provider.thumbprints,
        "CreateDate": shapes.when(provider.created),
        "Tags": shapes.tag_list(provider.tags),
    }


@service.operation("ListOpenIDConnectProviders", anywhere)
async def list_open_id_connect_providers(ctx: Context, input: Input) -> Output:
    return {"OpenIDConnectProviderList": [{"Arn": arn_of(ctx.account, one.name)} async for one in everything(ctx.store, Provider)]}


@service.operation("DeleteOpenIDConnectProvider", _on_provider)
async def delete_open_id_connect_provider(ctx: Context, input: Input) -> Output:
    async def write(tx: Transaction) -> None:
        provider = await _need(tx, ctx.account, input["OpenIDConnectProviderArn"])
        await forget(tx, provider)

    await ctx.store.transact(write)
    return {}


async def _edit(ctx: Context, input: Input, edit: Callable[[Provider], Any]) -> Output:
    async def write(tx: Transaction) -> None:
        provider = await _need(tx, ctx.account, input["OpenIDConnectProviderArn"])
        edit(provider)
        put(tx, provider)

    await ctx.store.transact(write)
    return {}


@service.operation("AddClientIDToOpenIDConnectProvider", _on_provider)
async def add_client_id(ctx: Context, input: Input) -> Output:
    def edit(provider: Provider) -> None:
        if input["ClientID"] in provider.clients:
            return
        if len(provider.clients) >= MAX_CLIENTS:
            raise errors.quota("ClientIdsPerOpenIdConnectProvider", MAX_CLIENTS)
        provider.clients.append(input["ClientID"])

    return await _edit(ctx, input, edit)


@service.operation("RemoveClientIDFromOpenIDConnectProvider", _on_provider)
async def remove_client_id(ctx: Context, input: Input) -> Output:
    def edit(provider: Provider) -> None:
        provider.clients = [client for client in provider.clients if client != input["ClientID"]]

    return await _edit(ctx, input, edit)


@service.operation("UpdateOpenIDConnectProviderThumbprint", _on_provider)
async def update_thumbprints(ctx: Context, input: Input) -> Output:
    thumbprints = _thumbprints(input["ThumbprintList"])

    def edit(provider: Provider) -> None:
        provider.thumbprints = thumbprints

    return await _edit(ctx, input, edit)


@service.operation("TagOpenIDConnectProvider", _on_provider)
async def tag_provider(ctx: Context, input: Input) -> Output:
    tags = checked(input["Tags"])

    def edit(provider: Provider) -> None:
        provider.tags = merged(provider.tags, tags)

    return await _edit(ctx, input, edit)


@service.operation("UntagOpenIDConnectProvider", _on_provider)
async def untag_provider(ctx: Context, input: Input) -> Output:
    def edit(provider: Provider) -> None:
        provider.tags = without(provider.tags, input["TagKeys"])

    return await _edit(ctx, input, edit)


@service.operation("ListOpenIDConnectProviderTags", _on_provider)
async def list_provider_tags(ctx: Context, input: Input) -> Output:
    provider = await _need(ctx.store, ctx.account, input["OpenIDConnectProviderArn"])
    tags, more = page(shapes.tag_list(provider.tags), input, lambda tag: tag["Key"])
    return {"Tags": tags, **more}
