"""Who is calling, and whose a key is."""

from collections.abc import Sequence

from haar.services.iam.public import account_of_key
from haar.services.service import Context, Demand, Input, Output
from haar.services.sts import errors
from haar.services.sts.service import service


def _nothing(ctx: Context, input: Input) -> Sequence[Demand]:
    return ()


@service.operation("GetCallerIdentity", _nothing)
async def get_caller_identity(ctx: Context, input: Input) -> Output:
    """Needs no permission, and no policy takes it away."""
    return {"UserId": ctx.principal.id, "Account": ctx.principal.account, "Arn": ctx.principal.arn}


def _looking(ctx: Context, input: Input) -> Sequence[Demand]:
    return (Demand("sts:GetAccessKeyInfo"),)


@service.operation("GetAccessKeyInfo", _looking)
async def get_access_key_info(ctx: Context, input: Input) -> Output:
    """The account that the key's id carries; says nothing of whether there is such a key."""
    account = account_of_key(input["AccessKeyId"])
    if account is None:
        raise errors.validation(f"Invalid AccessKeyId: {input['AccessKeyId']}")
    return {"Account": account}
