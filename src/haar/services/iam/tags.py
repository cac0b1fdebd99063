"""Tags on users, roles, policies, instance profiles and MFA devices."""

from collections.abc import Iterable, Mapping, Sequence

from haar.services.iam import errors
from haar.services.iam.demands import on
from haar.services.iam.entities import change, need
from haar.services.iam.paging import page
from haar.services.iam.records import Entity, InstanceProfile, Role, User
from haar.services.iam.service import service
from haar.services.iam.shapes import tag_list
from haar.services.service import Context, Input, Output
from haar.store.contract import Transaction

MAX_TAGS = 50
RESERVED = "aws:"


def checked(tags: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The tags of an input; raises InvalidInput for keys that differ by case only, or that are reserved."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    for tag in tags:
        key = tag["Key"]
        if key.lower() in seen:
            raise errors.invalid_input("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
        if key.lower().startswith(RESERVED):
            raise errors.invalid_input("aws: prefixed tag key names are not allowed for external use.")
        seen.add(key.lower())
        found[key] = tag["Value"]
    if len(found) > MAX_TAGS:
        raise _too_many()
    return found


def merged(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Old tags with new ones over them: keys are compared without case, and the new spelling stays."""
    fresh = {key.lower() for key in new}
    result = {key: value for key, value in old.items() if key.lower() not in fresh} | dict(new)
    if len(result) > MAX_TAGS:
        raise _too_many()
    return result


def without(old: Mapping[str, str], keys: Iterable[str]) -> dict[str, str]:
    gone = {key.lower() for key in keys}
    return {key: value for key, value in old.items() if key.lower() not in gone}


def _too_many() -> Exception:
    return errors.limit_exceeded("The number of tags has reached the maximum limit.")


def register(kind: type[Entity]) -> None:
    """The three operations of one kind of thing."""
    name = f"{kind.title}Name"

    @service.operation(f"Tag{kind.title}", on(kind))
    async def tag(ctx: Context, input: Input) -> Output:
        tags = checked(input["Tags"])

        async def edit(tx: Transaction, entity: Entity) -> None:
            entity.tags = merged(entity.tags, tags)

        await change(ctx, kind, input[name], edit)
        return {}

    @service.operation(f"Untag{kind.title}", on(kind))
    async def untag(ctx: Context, input: Input) -> Output:
        async def edit(tx: Transaction, entity: Entity) -> None:
            entity.tags = without(entity.tags, input["TagKeys"])

        await change(ctx, kind, input[name], edit)
        return {}

    @service.operation(f"List{kind.title}Tags", on(kind))
    async def list_tags(ctx: Context, input: Input) -> Output:
        entity = await need(ctx.store, kind, input[name])
        tags, more = page(tag_list(entity.tags), input, lambda tag: tag["Key"])
        return {"Tags": tags, **more}


for _kind in (User, Role, InstanceProfile):
    register(_kind)
