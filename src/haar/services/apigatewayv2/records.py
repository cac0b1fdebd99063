"""What HTTP and WebSocket APIs keep.

An API is its draft (all that CreateRoute and the like change, one row) and, each in a row of its own, its stages, its deployments and
their snapshots. A snapshot is the draft as it was when it was deployed: the data plane serves snapshots only, and only what it reads is in
the space that its cache watches. Records have AWS's own member names, so that what is kept is what is shown.

    apigatewayv2.drafts  api id                          the draft
    apigatewayv2.live    api id, `api`                   where it is, of which protocol, and whether its own address is open
                         api id, `stage/NAME`            a stage
                         api id, `deployment/ID`         a deployment, as the API shows it
                         api id, `snapshot/ID`           the draft of that deployment
    apigatewayv2.index   region, api id                  which APIs a region has
    apigatewayv2.links   region, `link/ID`               a VPC link
"""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

import msgspec

from haar.services.apigateway.public import docs, get_doc, put_doc
from haar.services.apigatewayv2 import errors
from haar.services.service import Context
from haar.store.contract import Reader, Transaction

DRAFTS = "apigatewayv2.drafts"
LIVE = "apigatewayv2.live"
INDEX = "apigatewayv2.index"
LINKS = "apigatewayv2.links"
AUTOMATIC = "Automatic deployment triggered by changes to the Api configuration"
CLEARED = frozenset(
    (
        "AuthorizerCredentialsArn", "AuthorizerId", "ClientCertificateId", "ConnectionId", "CredentialsArn", "Description",
        "IdentityValidationExpression", "ModelSelectionExpression", "OperationName", "RouteResponseSelectionExpression", "Target",
        "TemplateSelectionExpression", "Version",
    )
)  # fmt: skip
"""Members that an update takes away with an empty text."""
NO_ROUTES = {
    "HTTP": "Unable to deploy API because no routes exist in this API",
    "WEBSOCKET": "At least one route is required before deploying the Api.",
}
"""Why an API cannot be deployed, by its protocol."""

T = TypeVar("T")
Doc = dict[str, Any]


class Draft(msgspec.Struct):
    """An API as it is being edited; also what a snapshot keeps. The parts are by their ids."""

    region: str
    api: Doc
    routes: dict[str, Doc] = {}
    integrations: dict[str, Doc] = {}
    authorizers: dict[str, Doc] = {}
    models: dict[str, Doc] = {}
    route_responses: dict[str, dict[str, Doc]] = {}
    """By route, then by id."""
    integration_responses: dict[str, dict[str, Doc]] = {}
    """By integration, then by id."""


class _Head(msgspec.Struct):
    """A draft without its parts, which are not even read."""

    region: str
    api: Doc


class Fresh(NamedTuple):
    """What a transaction that deploys may need: it may run more than once, and is given the same each time."""

    deployment_id: str
    now: int


_decode = msgspec.json.Decoder(Draft).decode
_decode_head = msgspec.json.Decoder(_Head).decode
_encode = msgspec.json.Encoder().encode


def encode_draft(draft: Draft) -> bytes:
    return _encode(draft)


def decode_draft(value: bytes) -> Draft:
    return _decode(value)


def fresh(ctx: Context) -> Fresh:
    return Fresh(ctx.host.ids.text(6), int(ctx.now()))


def no_api(ctx: Context, api_id: str) -> Exception:
    return errors.not_found(f"Invalid API identifier specified {ctx.account}:{api_id}")


async def load_draft(reader: Reader, api_id: str, region: str) -> Draft | None:
    value = await reader.get(DRAFTS, api_id.encode())
    draft = None if value is None else _decode(value)
    return draft if draft is not None and draft.region == region else None


async def find_api(reader: Reader, api_id: str, region: str) -> Doc | None:
    """The Api alone."""
    value = await reader.get(DRAFTS, api_id.encode())
    head = None if value is None else _decode_head(value)
    return head.api if head is not None and head.region == region else None


async def read_draft(ctx: Context, api_id: str) -> Draft:
    """The API's draft. Raises NotFoundException when the caller's region has none of this id."""
    draft = await load_draft(ctx.store, api_id, ctx.region)
    if draft is None:
        raise no_api(ctx, api_id)
    return draft


def put_draft(tx: Transaction, draft: Draft) -> None:
    tx.put(DRAFTS, draft.api["ApiId"].encode(), b"", _encode(draft))


async def in_api(ctx: Context, api_id: str, run: Callable[[Transaction, Draft], Awaitable[T]]) -> T:
    """One transaction that reads the draft and whatever `run` touches besides."""

    async def whole(tx: Transaction) -> T:
        draft = await load_draft(tx, api_id, ctx.region)
        if draft is None:
            raise no_api(ctx, api_id)
        return await run(tx, draft)

    return await ctx.store.transact(whole)


async def change(ctx: Context, api_id: str, edit: Callable[[Draft], T]) -> T:
    """Changes the draft in one transaction, and deploys it to the stages that deploy by themselves.

    `edit` may run more than once and touches nothing but the draft.
    """
    new = fresh(ctx)

    async def run(tx: Transaction, draft: Draft) -> T:
        result = edit(draft)
        put_draft(tx, draft)
        await deploy_automatically(tx, draft, new)
        return result

    return await in_api(ctx, api_id, run)


def put_deployment(tx: Transaction, draft: Draft, new: Fresh, description: str | None, automatic: bool) -> Doc:
    """A new deployment with its snapshot."""
    deployment: Doc = {
        "AutoDeployed": automatic,
        "CreatedDate": new.now,
        "DeploymentId": new.deployment_id,
        "DeploymentStatus": "DEPLOYED",
    }
    if description:
        deployment["Description"] = description
    api_id = draft.api["ApiId"]
    put_doc(tx, LIVE, api_id, f"deployment/{new.deployment_id}", deployment)
    tx.put(LIVE, api_id.encode(), f"snapshot/{new.deployment_id}".encode(), _encode(draft))
    return deployment


def deploy_first(tx: Transaction, draft: Draft, stage: Doc, new: Fresh) -> Doc:
    """A stage that begins to deploy by itself: on its first deployment, if there is anything to deploy."""
    if not draft.routes:
        return stage | {"LastDeploymentStatusMessage": f"Deployment attempt failed: {NO_ROUTES[draft.api['ProtocolType']]}"}
    put_deployment(tx, draft, new, AUTOMATIC, True)
    return deployed(stage, new)


def deployed(stage: Doc, new: Fresh) -> Doc:
    """A stage that deploys by itself, on its new deployment."""
    message = f"Successfully deployed stage with deployment ID '{new.deployment_id}'"
    return stage | {"DeploymentId": new.deployment_id, "LastDeploymentStatusMessage": message, "LastUpdatedDate": new.now}


async def deploy_automatically(tx: Transaction, draft: Draft, new: Fresh) -> None:
    """Deploys the draft to every stage with AutoDeploy; their former automatic deployments go when no stage is on them any more."""
    api_id = draft.api["ApiId"]
    stages = await docs(tx, LIVE, api_id, "stage/")
    moved = [stage for stage in stages if stage.get("AutoDeploy") and (draft.routes or "DeploymentId" in stage)]
    if not moved:
        return
    put_deployment(tx, draft, new, AUTOMATIC, True)
    for stage in moved:
        put_doc(tx, LIVE, api_id, f"stage/{stage['StageName']}", deployed(stage, new))
    kept = {stage.get("DeploymentId") for stage in stages if not stage.get("AutoDeploy")}
    for old in {stage.get("DeploymentId") for stage in moved} - kept - {None}:
        former = await get_doc(tx, LIVE, api_id, f"deployment/{old}")
        if former is not None and former["AutoDeployed"]:
            delete_deployment(tx, api_id, str(old))


def delete_deployment(tx: Transaction, api_id: str, deployment_id: str) -> None:
    for kind in ("deployment", "snapshot"):
        tx.delete(LIVE, api_id.encode(), f"{kind}/{deployment_id}".encode())


def given(input: Doc, *members: str) -> Doc:
    """The members of an input that are there and not null."""
    return {member: input[member] for member in members if input.get(member) is not None}


def renewed(old: Doc, input: Doc, *members: str) -> Doc:
    """A record with what an update gives; an empty text takes away what may be absent."""
    return {member: value for member, value in (old | given(input, *members)).items() if value != "" or member not in CLEARED}
