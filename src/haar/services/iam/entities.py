"""Reading and writing IAM's records."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from haar.clock import Ids
from haar.services.iam import errors
from haar.services.iam.records import (
    ACCESSED,
    ATTACHMENTS,
    BASE32,
    COUNTS,
    ID_LENGTH,
    IDS,
    POLICY_USE,
    Entity,
    Group,
    Holder,
    InstanceProfile,
    Policy,
    Role,
    User,
    partition,
)
from haar.services.service import Context
from haar.store.contract import Reader, Transaction

E = TypeVar("E", bound=Entity)
S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")

ATTACHMENT_LIMIT = 20_000
"""Rows read at once of one policy's attachments: more than there may be users, groups and roles with it."""


def encode(record: msgspec.Struct) -> bytes:
    return msgspec.msgpack.encode(record)


def decode(raw: bytes, kind: type[S]) -> S:
    return msgspec.msgpack.decode(raw, type=kind)


def unique_id(ids: Ids, kind: type[Entity]) -> str:
    return kind.prefix + ids.text(ID_LENGTH, BASE32)


async def find(reader: Reader, kind: type[E], name: str) -> E | None:
    raw = await reader.get(kind.space, partition(name))
    return None if raw is None else decode(raw, kind)


async def need(reader: Reader, kind: type[E], name: str) -> E:
    """The entity; raises NoSuchEntity."""
    found = await find(reader, kind, name)
    if found is None:
        raise missing(kind, name)
    return found


async def find_holder(reader: Reader, noun: str, name: str) -> Holder | None:
    """The user, group or role (`noun`) of this name."""
    if noun == User.noun:
        return await find(reader, User, name)
    return await find(reader, Group, name) if noun == Group.noun else await find(reader, Role, name)


def missing(kind: type[Entity], name: str) -> Exception:
    if kind is InstanceProfile:
        return errors.no_such_entity(f"Instance Profile {name} cannot be found.")
    if kind.noun == "server-certificate":
        return errors.no_such_entity(f"The Server Certificate with name {name} cannot be found.")
    return errors.not_found(kind.noun, name)


async def find_by_id(reader: Reader, unique: str) -> Holder | None:
    """The user or role with this unique id, whatever its name is by now."""
    raw = await reader.get(IDS, unique.encode())
    if raw is None:
        return None
    noun, _, name = raw.decode().partition("/")
    return await find_holder(reader, noun, name)


def put_new(tx: Transaction, entity: Entity) -> None:
    """Writes an entity that is new, or has a new name."""
    if isinstance(entity, User | Role):
        tx.put(IDS, entity.id.encode(), b"", f"{entity.noun}/{entity.name}".encode())
    put(tx, entity)


def put(tx: Transaction, entity: Entity) -> None:
    tx.put(entity.space, partition(entity.name), b"", encode(entity))


def remove(tx: Transaction, entity: Entity) -> None:
    """Of an entity that is renamed; one that is deleted is `forget`'s."""
    tx.delete(entity.space, partition(entity.name))
    if isinstance(entity, User | Role):
        tx.delete(IDS, entity.id.encode())


async def forget(tx: Transaction, entity: Entity) -> None:
    remove(tx, entity)
    for service, _ in await tx.range(ACCESSED, entity.id.encode()):
        tx.delete(ACCESSED, entity.id.encode(), service)
    if (count := await _kept_count(tx, type(entity))) is not None:
        tx.put(COUNTS, entity.space.encode(), b"", b"%d" % max(0, count - 1))


async def _kept_count(reader: Reader, kind: type[Entity]) -> int | None:
    raw = await reader.get(COUNTS, kind.space.encode())
    return None if raw is None else int(raw)


async def _first_count(reader: Reader, kind: type[Entity]) -> int:
    """How many there are in a store that has not counted yet."""
    count, after = 0, None
    while rows := await reader.scan(kind.space, after=after):
        count, after = count + len(rows), (rows[-1].partition, rows[-1].sort)
        await asyncio.sleep(0)
    return count


async def count_new(tx: Transaction, kind: type[Entity], before: int) -> None:
    """Counts one more; `before` is how many there are where none were counted yet. Raises LimitExceeded."""
    kept = await _kept_count(tx, kind)
    count = (before if kept is None else kept) + 1
    name, limit = kind.quota
    if count > limit:
        raise errors.quota(name, limit)
    tx.put(COUNTS, kind.space.encode(), b"", b"%d" % count)


async def uncounted(reader: Reader, kind: type[Entity]) -> int:
    """What `count_new` is to be told: found out once a store, before the transaction."""
    return await _first_count(reader, kind) if await _kept_count(reader, kind) is None else 0


async def create(ctx: Context, entity: E, also: Callable[[Transaction, E], Any] | None = None) -> E:
    """Stores a new entity, with what the coroutine function `also` writes; raises EntityAlreadyExists, LimitExceeded."""
    before = await uncounted(ctx.store, type(entity))

    async def write(tx: Transaction) -> E:
        if await find(tx, type(entity), entity.name) is not None:
            raise exists(type(entity), entity.name)
        await count_new(tx, type(entity), before)
        if also is not None:
            await also(tx, entity)
        put_new(tx, entity)
        return entity

    return await ctx.store.transact(write)


def exists(kind: type[Entity], name: str) -> Exception:
    if kind is Policy:
        return errors.already_exists(f"A policy called {name} already exists. Duplicate names are not allowed.")
    if kind is InstanceProfile:
        return errors.already_exists(f"Instance Profile {name} already exists.")
    if kind.noun == "server-certificate":
        return errors.already_exists(f"The Server Certificate with name {name} already exists.")
    return errors.already_exists(f"{kind.title} with name {name} already exists.")


async def change(ctx: Context, kind: type[E], name: str, edit: Callable[[Transaction, E], Any]) -> E:
    """Reads the entity, lets the coroutine function `edit` change it, and stores it, in one transaction; raises NoSuchEntity."""

    async def write(tx: Transaction) -> E:
        entity = await need(tx, kind, name)
        await edit(tx, entity)
        put(tx, entity)
        return entity

    return await ctx.store.transact(write)


def attach(tx: Transaction, arn: str, holder: Entity, use: str = POLICY_USE) -> None:
    tx.put(ATTACHMENTS, arn.encode(), f"{holder.noun}/{holder.name}/{use}".encode(), b"")


def detach(tx: Transaction, arn: str, holder: Entity, use: str = POLICY_USE) -> None:
    tx.delete(ATTACHMENTS, arn.encode(), f"{holder.noun}/{holder.name}/{use}".encode())


async def attachments(reader: Reader, arn: str) -> list[tuple[str, str, str]]:
    """(noun, name, use) of everything that a policy is attached to, in order of noun and name."""
    rows = await reader.range(ATTACHMENTS, arn.encode(), limit=ATTACHMENT_LIMIT)
    return [(noun, name, use) for noun, name, use in (sort.decode().split("/") for sort, _ in rows)]


def refuse_linked(entity: Entity) -> None:
    """Raises UnmodifiableEntity for a service-linked role."""
    if isinstance(entity, Role) and entity.service:
        raise errors.unmodifiable(
            f"Cannot perform the operation on the protected role '{entity.name}' - this role is only modifiable by AWS"
        )
