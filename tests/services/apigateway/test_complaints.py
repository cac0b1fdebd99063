"""What a body that does not fit its model is said to lack."""

import json
from typing import Any

import jsonschema_rs
import pytest
from tests.services.apigateway.conftest import Api

from haar.services.apigateway.dataplane.bodies import schema_validator
from haar.services.apigateway.dataplane.complaints import complain


@pytest.mark.parametrize(
    "schema, body, said",
    [
        ({"required": ["b", "a"]}, {}, 'object has missing required properties (["a","b"])'),
        ({"type": "string"}, 1, 'instance type (integer) does not match any allowed primitive type (allowed: ["string"])'),
        ({"type": "number"}, None, 'instance type (null) does not match any allowed primitive type (allowed: ["integer","number"])'),
        ({"type": "array"}, True, 'instance type (boolean) does not match any allowed primitive type (allowed: ["array"])'),
        ({"enum": ["A", 1]}, "Z", 'instance value ("Z") not found in enum (possible values: ["A",1])'),
        ({"maximum": 20}, 97, "numeric instance is greater than the required maximum (maximum: 20, found: 97)"),
        ({"maximum": 3, "exclusiveMaximum": True}, 3, "numeric instance is not strictly lower than the required maximum 3"),
        ({"minimum": 3}, 1.5, "numeric instance is lower than the required minimum (minimum: 3, found: 1.5)"),
        ({"minimum": 3, "exclusiveMinimum": True}, 3, "numeric instance is not strictly greater than the required minimum 3"),
        ({"minLength": 3}, "ab", 'string "ab" is too short (length: 2, required minimum: 3)'),
        ({"maxLength": 1}, "ab", 'string "ab" is too long (length: 2, maximum allowed: 1)'),
        ({"pattern": "^x"}, "ab", 'ECMA 262 regex "^x" does not match input string "ab"'),
        ({"minItems": 2}, [1], "array is too short: must have at least 2 elements but instance has 1 elements"),
        ({"maxItems": 0}, [1], "array is too long: must have at most 0 elements but instance has 1 elements"),
        ({"uniqueItems": True}, [1, 1], "array must not contain duplicate elements"),
        ({"minProperties": 1}, {}, "object has too few properties (found 0 but schema requires at least 1)"),
        ({"maxProperties": 0}, {"a": 1}, "object has too many properties (found 1 but schema requires at most 0)"),
        ({"additionalProperties": False}, {"a": 1}, 'object instance has properties which are not allowed by the schema: ["a"]'),
        (
            {"properties": {"b": {}}, "additionalProperties": False},
            {"a": 1, "b": 1},
            'object instance has properties which are not allowed by the schema: ["a"]',
        ),
        ({"items": [{}], "additionalItems": False}, [1, 2], "schema only allows 1 elements in array but instance has 2 elements"),
        ({"format": "email"}, "x", 'string "x" is not a valid email address'),
        ({"multipleOf": 2}, 3, "remainder of division is not zero (3 / 2)"),
        ({"oneOf": [{}, {}, {"type": "null"}]}, 3, "instance failed to match exactly one schema (matched 2 out of 3)"),
        ({"anyOf": [{"type": "null"}]}, 3, "instance failed to match at least one required schema among 1"),
        ({"not": {}}, 3, "instance matched a schema which it should not have"),
    ],
)
def test_the_words(schema: dict[str, Any], body: Any, said: str):
    assert complain(jsonschema_rs.Draft4Validator(schema).iter_errors(body), body) == [said]


@pytest.mark.parametrize(
    "format, value, fits",
    [
        ("date", "tomorrow", True),
        ("time", "noon", True),
        ("uri", "../relative?x=%20", True),
        ("uri", "a b", False),
        ("uuid", "x", False),
        ("uuid", "7f0c1a52-33c7-4e35-8d0a-0f4b2c1f9a10", True),
        ("date-time", "tomorrow", False),
        ("no-such-format", "x", True),
    ],
)
def test_formats(format: str, value: str, fits: bool):
    assert schema_validator(json.dumps({"format": format}), {}).is_valid(value) == fits


def test_the_sentences_about_one_place_are_sorted_by_their_keywords():
    said = complain(jsonschema_rs.Draft4Validator({"pattern": "^a", "minLength": 3}).iter_errors("b"), "b")
    assert [sentence[:6] for sentence in said] == ["string", "ECMA 2"]


def test_an_object_before_what_is_in_it():
    schema = {"required": ["z"], "properties": {"a": {"type": "string"}, "b": {"required": ["c"]}}}
    body = {"b": {}, "a": 1}
    assert complain(jsonschema_rs.Draft4Validator(schema).iter_errors(body), body) == [
        'object has missing required properties (["z"])',
        'instance type (integer) does not match any allowed primitive type (allowed: ["string"])',
        'object has missing required properties (["c"])',
    ]


def test_the_gateway_response_and_the_log_say_it(api: Api):
    gateway, which = api.gateway, {"restApiId": api.id}
    gateway.create_model(**which, name="Note", contentType="application/json", schema='{"type": "object", "required": ["NoteId"]}')
    validator = gateway.create_request_validator(**which, name="body", validateRequestBody=True)["id"]
    api.mock("/", "POST", requestValidatorId=validator, requestModels={"application/json": "Note"})
    template = {"application/json": '{"said": "$context.error.validationErrorString"}'}
    gateway.put_gateway_response(**which, responseType="BAD_REQUEST_BODY", responseTemplates=template)
    api.deploy()
    lacks = 'object has missing required properties (["NoteId"])'
    assert api.call("/", "POST", json={}).text == f'{{"said": "[{lacks}]"}}'
    prefix = "Request body does not match model schema for content type application/json: "
    for body, said in {json.dumps({}): lacks, "{": "Unknown error parsing request body"}.items():
        tested = gateway.test_invoke_method(**api.at("/", "POST"), body=body)
        assert tested["status"] == 400 and f"{prefix}[{said}]" in tested["log"]
