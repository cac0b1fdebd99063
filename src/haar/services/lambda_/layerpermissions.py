"""The policies of layers' versions: which accounts may use them."""

import re
from typing import Any

import msgspec

from haar.services.lambda_ import service
from haar.services.lambda_.errors import conflict, invalid, not_found, wrong_revision
from haar.services.lambda_.layernames import LayerName, find_layer_version, layer_named, on_layer, version_arn
from haar.services.lambda_.records import LAYER_VERSIONS, LayerVersion, Policy, encode
from haar.services.service import Context, Input, Output
from haar.store.contract import Reader, Transaction
from haar.wire.errors import ServiceError

MAX_POLICY_BYTES = 20_480
_ACCOUNT = re.compile(r"\d{12}")


def _statement(input: Input, resource: str) -> dict[str, Any]:
    principal = input["Principal"]
    if _ACCOUNT.fullmatch(principal):
        principal = f"arn:aws:iam::{principal}:root"
    statement: dict[str, Any] = {
        "Sid": input["StatementId"],
        "Effect": "Allow",
        "Principal": "*" if principal == "*" else {"AWS": principal},
        "Action": input["Action"],
        "Resource": resource,
    }
    if organisation := input.get("OrganizationId"):
        if principal != "*":
            raise invalid("The organization id is only supported with the principal *.")
        statement["Condition"] = {"StringEquals": {"aws:PrincipalOrgID": organisation}}
    return statement


async def _find(reader: Reader, layer: LayerName, number: int) -> LayerVersion:
    version = await find_layer_version(reader, layer, number)
    if version is None:
        raise not_found(f"Layer version {version_arn(layer, number)} does not exist.")
    return version


def _check_revision(version: LayerVersion, input: Input) -> None:
    if input.get("RevisionId") and input["RevisionId"] != version.revision:
        raise wrong_revision("GetLayerPolicy")


def _put(tx: Transaction, layer: LayerName, version: LayerVersion) -> None:
    tx.put(LAYER_VERSIONS, layer.partition, version.version.to_bytes(8, "big"), encode(version))


@service.operation("AddLayerVersionPermission", on_layer("lambda:AddLayerVersionPermission"))
async def add_layer_version_permission(context: Context, input: Input) -> Output:
    layer, number, revision = layer_named(context, input), input["VersionNumber"], context.host.ids.uuid()
    statement = _statement(input, version_arn(layer, number))

    async def write(tx: Transaction) -> None:
        version = await _find(tx, layer, number)
        _check_revision(version, input)
        if any(other["Sid"] == statement["Sid"] for other in version.statements):
            raise conflict(
                f"The statement id ({statement['Sid']}) provided already exists. Please provide a new statement id, "
                "or remove the existing statement."
            )
        version.statements = [*version.statements, statement]
        if (size := len(Policy(statements=version.statements).text())) > MAX_POLICY_BYTES:
            message = f"The final policy size ({size}) is bigger than the limit ({MAX_POLICY_BYTES})."
            raise ServiceError("PolicyLengthExceededException", message, Type="User")
        version.revision = revision
        _put(tx, layer, version)

    await context.store.transact(write)
    return {"Statement": msgspec.json.encode(statement).decode(), "RevisionId": revision}


@service.operation("RemoveLayerVersionPermission", on_layer("lambda:RemoveLayerVersionPermission"))
async def remove_layer_version_permission(context: Context, input: Input) -> Output:
    layer, number, sid = layer_named(context, input), input["VersionNumber"], input["StatementId"]
    revision = context.host.ids.uuid()

    async def write(tx: Transaction) -> None:
        version = await _find(tx, layer, number)
        _check_revision(version, input)
        rest = [statement for statement in version.statements if statement["Sid"] != sid]
        if len(rest) == len(version.statements):
            raise not_found(f"Statement {sid} is not found in resource policy.")
        version.statements, version.revision = rest, revision
        _put(tx, layer, version)

    await context.store.transact(write)
    return {}


@service.operation("GetLayerVersionPolicy", on_layer("lambda:GetLayerVersionPolicy"))
async def get_layer_version_policy(context: Context, input: Input) -> Output:
    version = await _find(context.store, layer_named(context, input), input["VersionNumber"])
    policy = version.policy()
    if policy is None:
        raise not_found("No policy is associated with the given resource.")
    return {"Policy": policy, "RevisionId": version.revision}
