"""Deployments: immutable snapshots of an API."""

from haar.services.apigateway import errors
from haar.services.apigateway.demands import on
from haar.services.apigateway.face import service
from haar.services.apigateway.pages import page
from haar.services.apigateway.patch import Rules, Style, Value, apply, text_or_none
from haar.services.apigateway.records import (
    LIVE,
    Doc,
    Draft,
    docs,
    encode_draft,
    get_doc,
    in_api,
    put_doc,
    read_draft,
    update_doc,
)
from haar.services.apigateway.stages import new_canary, new_stage
from haar.services.service import Context, Input, Output
from haar.store.contract import Transaction

RULES: Rules = {"/description": Value(text_or_none)}


def _check(draft: Draft) -> None:
    methods = [method for resource in draft.resources.values() for method in resource.get("resourceMethods", {}).values()]
    if not methods:
        raise errors.bad_request("The REST API doesn't contain any methods")
    if any("methodIntegration" not in method for method in methods):
        raise errors.bad_request("No integration defined for method")


def _summary(draft: Draft) -> Doc:
    return {
        resource["path"]: {
            http_method: {"authorizationType": method["authorizationType"], "apiKeyRequired": method["apiKeyRequired"]}
            for http_method, method in resource["resourceMethods"].items()
        }
        for resource in draft.resources.values()
        if resource.get("resourceMethods")
    }


def show(deployment: Doc, embed: bool = False) -> Doc:
    return deployment if embed else {key: value for key, value in deployment.items() if key != "apiSummary"}


@service.operation("CreateDeployment", on("POST", "/restapis/{restApiId}/deployments"))
async def create_deployment(ctx: Context, input: Input) -> Output:
    api_id, now = input["restApiId"], int(ctx.now())
    deployment: Doc = {"id": ctx.host.ids.text(6), "createdDate": now}
    if input.get("description"):
        deployment["description"] = input["description"]
    stage_name = input.get("stageName")
    if input.get("canarySettings") is not None and not stage_name:
        raise errors.bad_request(
            "Invalid deployment content specified.Non null and non empty stageName must be provided for canary deployment. "
            f"Provided value is {'null' if stage_name is None else stage_name}"
        )

    async def run(tx: Transaction, draft: Draft) -> None:
        _check(draft)
        put_doc(tx, LIVE, api_id, f"deployment/{deployment['id']}", deployment | {"apiSummary": _summary(draft)})
        tx.put(LIVE, api_id.encode(), f"snapshot/{deployment['id']}".encode(), encode_draft(draft))
        if not stage_name:
            return
        key = f"stage/{stage_name}"
        old = await get_doc(tx, LIVE, api_id, key)
        put_doc(tx, LIVE, api_id, key, _staged(old, deployment["id"], input, now))

    await in_api(ctx, api_id, run)
    return deployment


def _staged(old: Doc | None, deployment_id: str, input: Input, now: int) -> Doc:
    """The stage that a deployment is made for: new, moved to it, or with it as its canary."""
    settings = {
        "deploymentId": deployment_id,
        "stageName": input["stageName"],
        "description": input.get("stageDescription"),
        **{member: input.get(member) for member in ("variables", "cacheClusterEnabled", "cacheClusterSize", "tracingEnabled")},
    }
    given = {key: value for key, value in settings.items() if value is not None}
    canary = input.get("canarySettings")
    if old is None:
        if canary is not None:
            name = input["stageName"]
            raise errors.bad_request(
                f"Invalid deployment content specified.Stage {name} must already be created before making a canary release deployment"
            )
        return new_stage(given, now)
    if canary is None:
        return old | given | {"lastUpdatedDate": now}
    settings = new_canary(canary | {"deploymentId": deployment_id})
    return old | {"canarySettings": settings, "lastUpdatedDate": now}


@service.operation("GetDeployment", on("GET", "/restapis/{restApiId}/deployments/{deploymentId}"))
async def get_deployment(ctx: Context, input: Input) -> Output:
    await read_draft(ctx, input["restApiId"])
    deployment = await get_doc(ctx.store, LIVE, input["restApiId"], f"deployment/{input['deploymentId']}")
    if deployment is None:
        raise errors.no_deployment()
    return show(deployment, any(one.lower() == "apisummary" for one in input.get("embed", ())))


def _age(deployment: Doc) -> str:
    return f"{deployment['createdDate']:012d}{deployment['id']}"


@service.operation("GetDeployments", on("GET", "/restapis/{restApiId}/deployments"))
async def get_deployments(ctx: Context, input: Input) -> Output:
    await read_draft(ctx, input["restApiId"])
    found = await docs(ctx.store, LIVE, input["restApiId"], "deployment/")
    return page([show(one) for one in sorted(found, key=_age)], input, _age)


@service.operation("UpdateDeployment", on("PATCH", "/restapis/{restApiId}/deployments/{deploymentId}"))
async def update_deployment(ctx: Context, input: Input) -> Output:
    await read_draft(ctx, input["restApiId"])
    changed = await update_doc(
        ctx,
        LIVE,
        input["restApiId"],
        f"deployment/{input['deploymentId']}",
        lambda old: apply(old, input.get("patchOperations", []), RULES, Style.LISTED),
        errors.no_deployment,
    )
    return show(changed)


@service.operation("DeleteDeployment", on("DELETE", "/restapis/{restApiId}/deployments/{deploymentId}"))
async def delete_deployment(ctx: Context, input: Input) -> Output:
    api_id, deployment_id = input["restApiId"], input["deploymentId"]

    async def run(tx: Transaction, draft: Draft) -> None:
        if await get_doc(tx, LIVE, api_id, f"deployment/{deployment_id}") is None:
            raise errors.no_deployment()
        for stage in await docs(tx, LIVE, api_id, "stage/"):
            if deployment_id in (stage["deploymentId"], stage.get("canarySettings", {}).get("deploymentId")):
                raise errors.bad_request("Active stages pointing to this deployment must be moved or deleted")
        for kind in ("deployment", "snapshot"):
            tx.delete(LIVE, api_id.encode(), f"{kind}/{deployment_id}".encode())

    await in_api(ctx, api_id, run)
    return {}
