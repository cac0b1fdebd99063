"""Deployments: immutable snapshots of an API."""

from haar.services.apigateway.public import docs, get_doc, put_doc
from haar.services.apigatewayv2 import errors
from haar.services.apigatewayv2.demands import on
from haar.services.apigatewayv2.face import service
from haar.services.apigatewayv2.pages import page
from haar.services.apigatewayv2.records import LIVE, NO_ROUTES, Doc, Draft, fresh, in_api, put_deployment, read_draft, renewed
from haar.services.apigatewayv2.records import delete_deployment as remove
from haar.services.apigatewayv2.stages import find as find_stage
from haar.services.service import Context, Input, Output
from haar.store.contract import Reader, Transaction

DEPLOYMENT = "/apis/{ApiId}/deployments/{DeploymentId}"


@service.operation("CreateDeployment", on("POST", "/apis/{ApiId}/deployments"))
async def create_deployment(ctx: Context, input: Input) -> Output:
    api_id, name, new = input["ApiId"], input.get("StageName"), fresh(ctx)

    async def run(tx: Transaction, draft: Draft) -> Doc:
        if not draft.routes:
            raise errors.bad_request(NO_ROUTES[draft.api["ProtocolType"]])
        if any("Target" not in route for route in draft.routes.values()) and draft.api["ProtocolType"] == "HTTP":
            untargeted = next(route for route in draft.routes.values() if "Target" not in route)
            raise errors.bad_request(f"No target is set for the route {untargeted['RouteKey']}")
        deployment = put_deployment(tx, draft, new, input.get("Description"), False)
        if name:
            stage = await find_stage(tx, api_id, name)
            if stage.get("AutoDeploy"):
                raise errors.bad_request("Stage has AutoDeploy enabled, and takes no other deployments")
            put_doc(tx, LIVE, api_id, f"stage/{name}", stage | {"DeploymentId": new.deployment_id, "LastUpdatedDate": new.now})
        return deployment

    return await in_api(ctx, api_id, run)


async def _find(reader: Reader, input: Input) -> Doc:
    deployment = await get_doc(reader, LIVE, input["ApiId"], f"deployment/{input['DeploymentId']}")
    if deployment is None:
        raise errors.missing("Deployment", input["DeploymentId"])
    return deployment


@service.operation("GetDeployment", on("GET", DEPLOYMENT))
async def get_deployment(ctx: Context, input: Input) -> Output:
    await read_draft(ctx, input["ApiId"])
    return await _find(ctx.store, input)


def _age(deployment: Doc) -> str:
    return f"{deployment['CreatedDate']:012d}{deployment['DeploymentId']}"


@service.operation("GetDeployments", on("GET", "/apis/{ApiId}/deployments"))
async def get_deployments(ctx: Context, input: Input) -> Output:
    await read_draft(ctx, input["ApiId"])
    return page(sorted(await docs(ctx.store, LIVE, input["ApiId"], "deployment/"), key=_age), input, _age)


@service.operation("UpdateDeployment", on("PATCH", DEPLOYMENT))
async def update_deployment(ctx: Context, input: Input) -> Output:
    async def run(tx: Transaction, draft: Draft) -> Doc:
        deployment = renewed(await _find(tx, input), input, "Description")
        put_doc(tx, LIVE, input["ApiId"], f"deployment/{input['DeploymentId']}", deployment)
        return deployment

    return await in_api(ctx, input["ApiId"], run)


@service.operation("DeleteDeployment", on("DELETE", DEPLOYMENT))
async def delete_deployment(ctx: Context, input: Input) -> Output:
    async def run(tx: Transaction, draft: Draft) -> None:
        await _find(tx, input)
        if any(stage.get("DeploymentId") == input["DeploymentId"] for stage in await docs(tx, LIVE, input["ApiId"], "stage/")):
            raise errors.bad_request("Active stages pointing to this deployment must be moved or deleted")
        remove(tx, input["ApiId"], input["DeploymentId"])

    await in_api(ctx, input["ApiId"], run)
    return {}
