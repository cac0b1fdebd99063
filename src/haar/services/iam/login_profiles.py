"""Console passwords: kept as salted scrypt hashes, checked against the account's password policy."""

import asyncio
import hashlib
import hmac

from haar.clock import Ids
from haar.services.iam import errors, shapes
from haar.services.iam.demands import on, own_name
from haar.services.iam.entities import change, need
from haar.services.iam.passwords import read_policy, refusal
from haar.services.iam.records import Login, User
from haar.services.iam.service import service
from haar.services.iam.users import caller_name
from haar.services.service import Context, Demand, Input, Output
from haar.store.contract import Transaction
from haar.wire.errors import ServiceError

SALT_BYTES = 16
SCRYPT = {"n": 2**14, "r": 8, "p": 1}
"""16 MB and some 50 ms a password, in a thread: it is set rarely."""


async def hashed(ids: Ids, password: str, created: float, *, reset: bool) -> Login:
    salt = ids.bytes(SALT_BYTES)
    return Login(created=created, salt=salt, digest=await asyncio.to_thread(_digest, password, salt), reset_required=reset)


def _digest(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=SCRYPT["n"], r=SCRYPT["r"], p=SCRYPT["p"])


async def matches(login: Login, password: str) -> bool:
    return hmac.compare_digest(login.digest, await asyncio.to_thread(_digest, password, login.salt))


def _missing(user: str) -> Exception:
    return errors.no_such_entity(f"Login Profile for User {user} cannot be found.")


async def _check(ctx: Context, password: str) -> None:
    """Raises PasswordPolicyViolation."""
    if (why := refusal(await read_policy(ctx.store), password)) is not None:
        raise ServiceError("PasswordPolicyViolation", why, 400)


@service.operation("CreateLoginProfile", on(User))
async def create_login_profile(ctx: Context, input: Input) -> Output:
    password = input.get("Password")
    if password is None:
        raise errors.validation("Password is required to create a login profile.")
    await _check(ctx, password)
    login = await hashed(ctx.host.ids, password, ctx.now(), reset=input.get("PasswordResetRequired", False))
    login.max_signin = input.get("MaxSigninSessionDuration")

    async def edit(tx: Transaction, user: User) -> None:
        if user.login is not None:
            raise errors.already_exists(f"Login Profile for user {user.name} already exists.")
        user.login = login

    user = await change(ctx, User, caller_name(ctx, input), edit)
    return {"LoginProfile": _shape(user.name, login)}


def _shape(user: str, login: Login) -> dict[str, object]:
    shape: dict[str, object] = {
        "UserName": user,
        "CreateDate": shapes.when(login.created),
        "PasswordResetRequired": login.reset_required,
    }
    return shape if login.max_signin is None else shape | {"MaxSigninSessionDuration": login.max_signin}


@service.operation("GetLoginProfile", on(User))
async def get_login_profile(ctx: Context, input: Input) -> Output:
    user = await need(ctx.store, User, caller_name(ctx, input))
    if user.login is None:
        raise _missing(user.name)
    return {"LoginProfile": _shape(user.name, user.login)}


@service.operation("UpdateLoginProfile", on(User))
async def update_login_profile(ctx: Context, input: Input) -> Output:
    password, fresh = input.get("Password"), None
    if password is not None:
        await _check(ctx, password)
        fresh = await hashed(ctx.host.ids, password, ctx.now(), reset=False)

    async def edit(tx: Transaction, user: User) -> None:
        if user.login is None:
            raise _missing(user.name)
        if fresh is not None:
            user.login.salt, user.login.digest = fresh.salt, fresh.digest
        user.login.reset_required = input.get("PasswordResetRequired", user.login.reset_required)
        kept = None if input.get("ResetMaxSigninSessionDuration") else user.login.max_signin
        user.login.max_signin = input.get("MaxSigninSessionDuration", kept)

    await change(ctx, User, input["UserName"], edit)
    return {}


@service.operation("DeleteLoginProfile", on(User))
async def delete_login_profile(ctx: Context, input: Input) -> Output:
    async def edit(tx: Transaction, user: User) -> None:
        if user.login is None:
            raise _missing(user.name)
        user.login = None

    await change(ctx, User, caller_name(ctx, input), edit)
    return {}


def _changing(ctx: Context, input: Input) -> list[Demand]:
    return [Demand("iam:ChangePassword", ctx.principal.arn)]


@service.operation("ChangePassword", _changing)
async def change_password(ctx: Context, input: Input) -> Output:
    """A user's own password."""
    name = own_name(ctx)
    if not name:
        raise errors.invalid_user_type("Only IAM Users can change their own password")
    await _check(ctx, input["NewPassword"])
    old = (await need(ctx.store, User, name)).login
    if old is None:
        raise _missing(name)
    if not await matches(old, input["OldPassword"]):
        raise ServiceError("AccessDenied", "The old password was incorrect.", 403)
    fresh = await hashed(ctx.host.ids, input["NewPassword"], ctx.now(), reset=False)

    async def edit(tx: Transaction, user: User) -> None:
        if user.login is None or user.login.digest != old.digest:
            raise errors.unmodifiable_now("The password is being changed by another request. Please try again.")
        user.login.salt, user.login.digest, user.login.reset_required = fresh.salt, fresh.digest, False

    await change(ctx, User, name, edit)
    return {}
