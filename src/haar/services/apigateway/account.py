"""The account's settings in a region."""

from haar.services.apigateway import errors
from haar.services.apigateway.dataplane.keys import ACCOUNT_LIMITS
from haar.services.apigateway.demands import on, pass_role
from haar.services.apigateway.face import service
from haar.services.apigateway.patch import Members, Rules, Value, apply, integer, number, text_or_none
from haar.services.apigateway.records import ACCOUNT, Doc, get_doc, put_doc
from haar.services.iam import public as iam
from haar.services.service import Context, Input, Output
from haar.store.contract import Transaction

DEFAULTS: Doc = {"throttleSettings": dict(ACCOUNT_LIMITS), "features": ["UsagePlans"], "apiKeyVersion": "4"}
# The limits are raised by Service Quotas at AWS; here the account's owner sets them.
RULES: Rules = {
    "/cloudwatchRoleArn": Value(text_or_none, ("add", "replace", "remove")),
    "/features": Members(),
    "/throttle/burstLimit": Value(integer("Invalid burst limit specified"), at="/throttleSettings/burstLimit"),
    "/throttle/rateLimit": Value(number("Invalid rate limit specified"), at="/throttleSettings/rateLimit"),
}
NO_TRUST = (
    "The role ARN does not have required permissions configured. Please grant trust permission for API Gateway and add the required role "
    "policy."
)


@service.operation("GetAccount", on("GET", "/account"))
async def get_account(ctx: Context, input: Input) -> Output:
    return DEFAULTS | (await get_doc(ctx.store, ACCOUNT, ctx.region, "account") or {})


@service.operation("UpdateAccount", on("PATCH", "/account", pass_role("cloudwatchRoleArn")))
async def update_account(ctx: Context, input: Input) -> Output:
    operations = input.get("patchOperations", [])
    for operation in operations:
        role = operation.get("value")
        if operation.get("path") == "/cloudwatchRoleArn" and role and not await iam.role_trusts(ctx.host, role, "apigateway.amazonaws.com"):
            raise errors.bad_request(NO_TRUST)

    async def run(tx: Transaction) -> Doc:
        settings = apply(DEFAULTS | (await get_doc(tx, ACCOUNT, ctx.region, "account") or {}), operations, RULES)
        put_doc(tx, ACCOUNT, ctx.region, "account", settings)
        return settings

    return await ctx.store.transact(run)
