"""How layers are named, found, and what their operations demand of policies."""

import re
from typing import NamedTuple

from haar.services.lambda_.errors import invalid
from haar.services.lambda_.records import LAYER_VERSIONS, LayerVersion, decode_layer_version
from haar.services.service import Context, Demand, Demands, Input
from haar.store.contract import Reader
from haar.wire.errors import ServiceError

MAX_LAYERS = 5
_FORM = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):layer:)?(?P<name>[a-zA-Z0-9-_]+)(?::(?P<version>\d{1,18}))?"
)


class LayerName(NamedTuple):
    region: str
    account: str
    name: str

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:{self.region}:{self.account}:layer:{self.name}"

    @property
    def partition(self) -> bytes:
        return f"{self.region}/{self.name}".encode()


def version_arn(layer: LayerName, version: int) -> str:
    return f"{layer.arn}:{version}"


def parse_layer(text: str, region: str, account: str) -> tuple[LayerName, int]:
    """The layer and the version (0 where none is named). Raises InvalidParameterValueException."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise invalid(f"{text} is not a valid layer name or ARN.")
    return LayerName(found["region"] or region, found["account"] or account, found["name"]), int(found["version"] or 0)


def layer_named(context: Context, input: Input) -> LayerName:
    return parse_layer(input["LayerName"], context.region, context.account)[0]


async def find_layer_version(reader: Reader, layer: LayerName, version: int) -> LayerVersion | None:
    if version < 1:
        raise invalid("Layer Version Cannot be less than 1.")
    found = await reader.get(LAYER_VERSIONS, layer.partition, version.to_bytes(8, "big"))
    return None if found is None else decode_layer_version(found)


def on_layer(action: str, *, versioned: bool = True) -> Demands:
    """The action on the layer, or on the version that is named."""

    async def demands(context: Context, input: Input) -> list[Demand]:
        if not versioned:
            return [Demand(action, layer_named(context, input).arn)]
        if "Arn" in input:
            layer, version = parse_layer(input["Arn"], context.region, context.account)
        else:
            layer, version = layer_named(context, input), input["VersionNumber"]
        return [await _on_version(context, action, layer, version)]

    return demands


async def _on_version(context: Context, action: str, layer: LayerName, version: int) -> Demand:
    found = None
    if version > 0 and (layer.region, layer.account) == (context.region, context.account):
        found = await find_layer_version(context.store, layer, version)
    return Demand(action, version_arn(layer, version), resource_policy=found.policy() if found else None)


async def using_layer(context: Context, arn: str) -> Demand | None:
    """What it takes to give a function this layer; None for what is no layer's ARN (its operation says so)."""
    try:
        layer, version = parse_layer(arn, context.region, context.account)
    except ServiceError:
        return None
    return await _on_version(context, "lambda:GetLayerVersion", layer, version)
