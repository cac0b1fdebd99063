"""What IAM's operations demand: actions, ARNs and condition keys of the service authorization reference.

The ARN of something that is there has its own path; of something that is yet to be made, the path of the input.
"""

from collections.abc import Awaitable, Callable, Sequence

from haar.services.iam.catalog import find_policy
from haar.services.iam.entities import decode, find
from haar.services.iam.records import KEYS, AccessKey, Entity, Holder, Role, User, arn_of
from haar.services.service import Context, Demand, Input

Later = Callable[[Context, Input], Awaitable[list[Demand]]]
Now = Callable[[Context, Input], list[Demand]]


def anywhere(ctx: Context, input: Input) -> Sequence[Demand]:
    """An action that has no resource."""
    return [Demand(f"iam:{ctx.operation}")]


def listing(noun: str) -> Now:
    """A list of what is under a path: the resource is that path, as IAM has it in its messages, whatever the reference says."""

    def demands(ctx: Context, input: Input) -> list[Demand]:
        path = input.get("PathPrefix", "/")
        resource = f"policy path {path}" if noun == "policy" else f"arn:aws:iam::{ctx.account}:{noun}{path}"
        return [Demand(f"iam:{ctx.operation}", resource)]

    return demands


def own_name(ctx: Context) -> str:
    """The caller's user name, or empty when it is no user."""
    return ctx.principal.name if ctx.principal.kind == "user" else ""


def asked(input: Input) -> dict[str, Sequence[str]]:
    """The condition keys that an input decides, whatever it is about."""
    tags = input.get("Tags", ())
    keys: dict[str, Sequence[str]] = {}
    if limit := input.get("PermissionsBoundary"):
        keys["iam:PermissionsBoundary"] = [limit]
    if arn := input.get("PolicyArn"):
        keys["iam:PolicyARN"] = [arn]
    keys |= {f"aws:RequestTag/{tag['Key']}": [tag["Value"]] for tag in tags}
    if named := [tag["Key"] for tag in tags] or input.get("TagKeys"):
        keys["aws:TagKeys"] = named
    return keys


def conditions_of(entity: Entity, input: Input) -> dict[str, Sequence[str]]:
    """The condition keys of an action on something that is there, but for its own tags as the gateway knows them."""
    keys = asked(input)
    if isinstance(entity, Holder) and entity.boundary:
        keys.setdefault("iam:PermissionsBoundary", [entity.boundary])
    if isinstance(entity, User | Role):
        keys |= {f"iam:ResourceTag/{key}": [value] for key, value in entity.tags.items()}
    return keys


def on(kind: type[Entity]) -> Later:
    """An action on the named entity that is there; a user that is not named is the caller."""

    async def demands(ctx: Context, input: Input) -> list[Demand]:
        return [await _on(ctx, kind, input)]

    return demands


async def _on(ctx: Context, kind: type[Entity], input: Input) -> Demand:
    action, name = f"iam:{ctx.operation}", input.get(f"{kind.title}Name")
    if name is None:
        name = own_name(ctx)
        if not name:
            return Demand(action, ctx.principal.arn)
    entity = await find(ctx.store, kind, name)
    if entity is None:
        return Demand(action, arn_of(kind, ctx.account, "/", name), asked(input))
    return Demand(action, entity.arn(ctx.account), conditions_of(entity, input), tags=entity.tags)


def making(kind: type[Entity]) -> Now:
    """An action that makes the named entity."""

    def demands(ctx: Context, input: Input) -> list[Demand]:
        arn = arn_of(kind, ctx.account, input.get("Path", "/"), input[f"{kind.title}Name"])
        return [Demand(f"iam:{ctx.operation}", arn, asked(input))]

    return demands


def tagged_making(kind: type[Entity]) -> Now:
    """The same where tags at creation demand the tagging action as well."""
    plain = making(kind)

    def demands(ctx: Context, input: Input) -> list[Demand]:
        made = plain(ctx, input)
        if input.get("Tags"):
            made.append(Demand(f"iam:Tag{kind.title}", made[0].resource, made[0].conditions))
        return made

    return demands


async def on_policy(ctx: Context, input: Input) -> Sequence[Demand]:
    """An action on the managed policy of the input's ARN."""
    policy = await find_policy(ctx.store, ctx.account, input["PolicyArn"])
    return [Demand(f"iam:{ctx.operation}", input["PolicyArn"], asked(input), tags=policy.tags if policy else {})]


async def on_access_key(ctx: Context, input: Input) -> Sequence[Demand]:
    """An action on the user who has the access key."""
    raw = await ctx.store.get(KEYS, input["AccessKeyId"].encode())
    if raw is None:
        return [Demand(f"iam:{ctx.operation}")]
    return [await _on(ctx, User, {"UserName": decode(raw, AccessKey).user})]
