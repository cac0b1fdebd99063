"""What botocore sends is what we read, and what we answer is what botocore reads, for every operation of the services that haar has."""

import io
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import HeadersDict, create_request_object, prepare_request_dict
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.shapes import structures

from haar.wire import load
from haar.wire.base import BaseCodec
from haar.wire.http import Request

SERVICES = ("dynamodb", "lambda", "iam", "apigateway", "logs", "sts")
relaxed = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def models() -> dict[str, ServiceModel]:
    return {name: ServiceModel(Loader().load_service_model(name, "service-2"), name) for name in SERVICES}


def codec_of(service: str) -> BaseCodec:
    codec = load(service)
    assert isinstance(codec, BaseCodec)
    return codec


def sent(model: ServiceModel, operation: str, params: dict[str, Any]) -> Request:
    """The request that botocore sends."""
    serialized = create_serializer(model.metadata["protocol"], include_validation=False).serialize_to_request(
        params, model.operation_model(operation)
    )
    prepare_request_dict(serialized, "http://localhost")
    prepared = create_request_object(serialized).prepare()
    url = urlsplit(prepared.url)
    headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in prepared.headers.items()}
    body = prepared.body or b""
    return Request.of(prepared.method, url.path, url.query, headers, body.encode() if isinstance(body, str) else body)


@pytest.mark.parametrize("service", SERVICES)
@given(data=st.data())
@relaxed
def test_requests(service: str, models: dict[str, ServiceModel], data: st.DataObject) -> None:
    codec = codec_of(service)
    operation = data.draw(st.sampled_from(sorted(codec.operations)))
    shape = codec.model.input(operation)
    params = {} if shape is None else data.draw(structures(shape))
    request = sent(models[service], operation, params)
    assert codec.identify(request) == operation
    assert codec.parse(operation, request) == params


@pytest.mark.parametrize("service", SERVICES)
@given(data=st.data())
@relaxed
def test_responses(service: str, models: dict[str, ServiceModel], data: st.DataObject) -> None:
    codec = codec_of(service)
    # Event streams are not answered at once: see test_eventstream.
    plain = sorted(name for name in codec.operations if not models[service].operation_model(name).has_event_stream_output)
    operation = data.draw(st.sampled_from(plain))
    shape = codec.model.output(operation)
    output = {} if shape is None else data.draw(structures(shape))
    response = codec.serialise(operation, output, "request-id")
    parser = create_parser(models[service].metadata["protocol"])
    described = models[service].operation_model(operation)
    assert isinstance(response.body, bytes)
    raw = {
        "status_code": response.status,
        "headers": HeadersDict(response.headers),
        "body": io.BytesIO(response.body) if described.has_streaming_output else response.body,
        "context": {"operation_name": operation},
    }
    parsed = {
        name: value.read() if isinstance(value, io.BytesIO) else value for name, value in parser.parse(raw, described.output_shape).items()
    }
    assert parsed.pop("ResponseMetadata")["RequestId"] == "request-id"
    if "contentType" not in output:
        # Every body has a type, said by the operation or not.
        parsed.pop("contentType", None)
    assert parsed == output
