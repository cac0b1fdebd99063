"""The account's password policy."""

from typing import Any

import msgspec

from haar.services.iam import errors
from haar.services.iam.demands import anywhere
from haar.services.iam.entities import decode, encode
from haar.services.iam.records import ACCOUNT
from haar.services.iam.service import service
from haar.services.service import Context, Input, Output
from haar.store.contract import Reader, Transaction

ROW = b"password-policy"
SYMBOLS = frozenset("!@#$%^&*()_+-=[]{}|'")
DEFAULT_LENGTH = 8
"""Without a policy of its own, an account asks for this many characters of three kinds."""


class PasswordPolicy(msgspec.Struct, kw_only=True, omit_defaults=True):
    """As UpdateAccountPasswordPolicy takes it; what is not given is off."""

    minimum_length: int = 6
    symbols: bool = False
    numbers: bool = False
    uppercase: bool = False
    lowercase: bool = False
    own_change: bool = False
    max_age: int = 0
    """Days; 0 is for ever."""
    reuse: int = 0
    hard_expiry: bool | None = None


async def read_policy(reader: Reader) -> PasswordPolicy | None:
    raw = await reader.get(ACCOUNT, ROW)
    return None if raw is None else decode(raw, PasswordPolicy)


def refusal(policy: PasswordPolicy | None, password: str) -> str | None:
    """Why the password is refused, or None."""
    kinds = {
        "uppercase": any(character.isupper() for character in password),
        "lowercase": any(character.islower() for character in password),
        "numbers": any(character.isdigit() for character in password),
        "symbols": any(character in SYMBOLS for character in password),
    }
    if policy is None:
        if len(password) < DEFAULT_LENGTH:
            return f"Password should have a minimum length of {DEFAULT_LENGTH}"
        if sum(kinds.values()) < 3:
            return (
                "Password should include a minimum of three of the following mix of character types: "
                "uppercase, lowercase, numbers, and ! @ # $ % ^ & * ( ) _ + - = [ ] { } | '"
            )
        return None
    if len(password) < policy.minimum_length:
        return f"Password should have a minimum length of {policy.minimum_length}"
    wanted = {
        "uppercase": (policy.uppercase, "Password should have at least one uppercase letter"),
        "lowercase": (policy.lowercase, "Password should have at least one lowercase letter"),
        "numbers": (policy.numbers, "Password should have at least one number"),
        "symbols": (policy.symbols, "Password should have at least one symbol"),
    }
    return next((message for kind, (needed, message) in wanted.items() if needed and not kinds[kind]), None)


@service.operation("UpdateAccountPasswordPolicy", anywhere)
async def update_account_password_policy(ctx: Context, input: Input) -> Output:
    """Replaces the whole policy: what is not given goes back to its default."""
    policy = PasswordPolicy(
        minimum_length=input.get("MinimumPasswordLength", 6),
        symbols=input.get("RequireSymbols", False),
        numbers=input.get("RequireNumbers", False),
        uppercase=input.get("RequireUppercaseCharacters", False),
        lowercase=input.get("RequireLowercaseCharacters", False),
        own_change=input.get("AllowUsersToChangePassword", False),
        max_age=input.get("MaxPasswordAge", 0),
        reuse=input.get("PasswordReusePrevention", 0),
        hard_expiry=input.get("HardExpiry"),
    )

    async def write(tx: Transaction) -> None:
        tx.put(ACCOUNT, ROW, b"", encode(policy))

    await ctx.store.transact(write)
    return {}


def _missing(account: str) -> Exception:
    return errors.no_such_entity(f"The Password Policy with domain name {account} cannot be found.")


@service.operation("GetAccountPasswordPolicy", anywhere)
async def get_account_password_policy(ctx: Context, input: Input) -> Output:
    policy = await read_policy(ctx.store)
    if policy is None:
        raise _missing(ctx.account)
    shape: dict[str, Any] = {
        "MinimumPasswordLength": policy.minimum_length,
        "RequireSymbols": policy.symbols,
        "RequireNumbers": policy.numbers,
        "RequireUppercaseCharacters": policy.uppercase,
        "RequireLowercaseCharacters": policy.lowercase,
        "AllowUsersToChangePassword": policy.own_change,
        "ExpirePasswords": policy.max_age > 0,
    }
    if policy.max_age:
        shape["MaxPasswordAge"] = policy.max_age
    if policy.reuse:
        shape["PasswordReusePrevention"] = policy.reuse
    if policy.hard_expiry is not None:
        shape["HardExpiry"] = policy.hard_expiry
    return {"PasswordPolicy": shape}


@service.operation("DeleteAccountPasswordPolicy", anywhere)
async def delete_account_password_policy(ctx: Context, input: Input) -> Output:
    async def write(tx: Transaction) -> None:
        if await tx.get(ACCOUNT, ROW) is None:
            raise _missing(ctx.account)
        tx.delete(ACCOUNT, ROW)

    await ctx.store.transact(write)
    return {}
