"""AWS's protocols, compiled from botocore's service models."""

from functools import cache

from haar.wire.base import BaseCodec
from haar.wire.cbor import CborCodec
from haar.wire.codec import Codec
from haar.wire.model import Model, read
from haar.wire.query import QueryCodec
from haar.wire.restjson import RestJsonCodec
from haar.wire.restxml import RestXmlCodec
from haar.wire.rpc import JsonCodec

_CODECS: dict[str, type[BaseCodec]] = {
    "json": JsonCodec,
    "rest-json": RestJsonCodec,
    "query": QueryCodec,
    "rest-xml": RestXmlCodec,
    "smithy-rpc-v2-cbor": CborCodec,
}


@cache
def load(service: str, opaque: frozenset[str] = frozenset()) -> Codec:
    """The codec of a service by botocore's name (`dynamodb`), in the protocol that it prefers; the same one for the same arguments.

    Shapes named in `opaque` stay as JSON has them, in both directions, and are not validated.
    Raises LookupError when botocore has no such service, ValueError when its protocol is not spoken here.
    """
    return compiled(read(service), opaque)


def load_all(service: str, opaque: frozenset[str] = frozenset()) -> dict[str, Codec]:
    """The service's codecs by protocol, the one that it prefers first: a few services are spoken to in several."""
    model = read(service)
    others = [protocol for protocol in model.metadata.get("protocols", ()) if protocol != model.protocol and protocol in _CODECS]
    return {model.protocol: load(service, opaque)} | {protocol: compiled(model, opaque, protocol) for protocol in others}


def compiled(model: Model, opaque: frozenset[str] = frozenset(), protocol: str = "") -> BaseCodec:
    """The codec of a model that is at hand, in its own protocol or the one that is given."""
    codec = _CODECS.get(protocol or model.protocol)
    if codec is None:
        raise ValueError(f"{model.service} speaks {model.protocol}, which haar does not")
    return codec(model, opaque)
