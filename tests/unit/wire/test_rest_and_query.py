"""Requests of REST and query services: which operation they are for, and what is refused."""

import subprocess
import sys
from typing import Any

import pytest

from haar.wire import load
from haar.wire.errors import CommonError
from haar.wire.http import Request
from haar.wire.router import Router


@pytest.mark.parametrize(
    ("method", "path", "query", "operation"),
    [
        ("GET", "/2015-03-31/functions", "", "ListFunctions"),
        ("GET", "/2015-03-31/functions/", "", "ListFunctions"),
        ("GET", "/2015-03-31/functions/f", "", "GetFunction"),
        ("GET", "/2015-03-31/functions/f/", "", "GetFunction"),
        ("GET", "/2015-03-31/functions/f/configuration", "Qualifier=1", "GetFunctionConfiguration"),
        ("POST", "/2014-11-13/functions/f/invoke-async", "", "InvokeAsync"),
        ("GET", "/2018-10-31/layers", "find=LayerVersion&Arn=x", "GetLayerVersionByArn"),
        ("GET", "/2018-10-31/layers", "", "ListLayers"),
        ("GET", "/2019-09-30/functions/f/provisioned-concurrency", "List=ALL", "ListProvisionedConcurrencyConfigs"),
        ("GET", "/2019-09-30/functions/f/provisioned-concurrency", "Qualifier=1", "GetProvisionedConcurrencyConfig"),
        ("GET", "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Af", "", "ListTags"),
    ],
)
def test_lambda_operations(method: str, path: str, query: str, operation: str) -> None:
    assert load("lambda").identify(Request.of(method, path, query)) == operation


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/2015-03-31/functions"),
        ("GET", "/nowhere"),
        ("GET", "/"),
        ("GET", "/2015-03-31/functions//configuration"),
        ("GET", "/x" * 5000),
    ],
)
def test_unknown_paths(method: str, path: str) -> None:
    with pytest.raises(CommonError) as caught:
        load("lambda").identify(Request.of(method, path))
    assert caught.value.code == "UnknownOperation"


def test_an_arn_may_keep_its_slashes() -> None:
    arn = "arn:aws:apigateway:us-east-1::/restapis/abc/stages/dev"
    codec = load("apigateway")
    for path in (f"/tags/{arn}", "/tags/" + arn.replace("/", "%2F").replace(":", "%3A")):
        request = Request.of("GET", path)
        assert codec.identify(request) == "GetTags"
        assert codec.parse("GetTags", request) == {"resourceArn": arn}


def test_the_most_specific_template_wins() -> None:
    templates = {
        "Key": "/{Bucket}/{Key+}",
        "Acl": "/{Bucket}/{Key+}?acl",
        "Bucket": "/{Bucket}",
        "Static": "/fixed/{Key+}",
        "Root": "/",
        "Middle": "/{Bucket}/{Key+}/end",
    }
    router = Router({name: {"method": "GET", "requestUri": uri} for name, uri in templates.items()})

    def found(path: str, query: str = "") -> Any:
        match = router.match("GET", path, query)
        return match and (match[0].operation, match[1])

    assert found("/") == ("Root", {})
    assert found("/b") == ("Bucket", {"Bucket": "b"})
    assert found("/b/a/c%2Fd") == ("Key", {"Bucket": "b", "Key": "a/c/d"})
    assert found("/b/a", "acl") == ("Acl", {"Bucket": "b", "Key": "a"})
    assert found("/fixed/a") == ("Static", {"Key": "a"})
    assert found("/b/a/c/end") == ("Key", {"Bucket": "b", "Key": "a/c/end"})


def test_import_parameters_leave_out_the_templates_own() -> None:
    request = Request.of("POST", "/restapis", "mode=import&failonwarnings=true&basepath=prepend", body=b"{}")
    codec = load("apigateway")
    assert codec.identify(request) == "ImportRestApi"
    assert codec.parse("ImportRestApi", request) == {"body": b"{}", "failOnWarnings": True, "parameters": {"basepath": "prepend"}}


@pytest.mark.parametrize(
    ("query", "message"), [("MaxItems=many", "STRING_VALUE cannot be converted to Integer"), ("MaxItems=" + "9" * 100_000, None)]
)
def test_wrong_types_in_a_query_string(query: str, message: str | None) -> None:
    with pytest.raises(CommonError) as caught:
        load("lambda").parse("ListFunctions", Request.of("GET", "/2015-03-31/functions", query))
    assert caught.value.code == "Serialization"
    assert message in (None, caught.value.message)


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'{"Code":' * 50_000], ids=lambda body: repr(body[:8]))
def test_rest_bodies_that_are_not_json_objects(body: bytes) -> None:
    with pytest.raises(CommonError) as caught:
        load("lambda").parse("CreateFunction", Request.of("POST", "/2015-03-31/functions", body=body))
    assert caught.value.code == "Serialization"


def test_invoke_answers_with_the_functions_bytes() -> None:
    response = load("lambda").serialise("Invoke", {"StatusCode": 200, "Payload": b"1", "ExecutedVersion": "$LATEST"}, "request-id")
    assert (response.status, response.body) == (200, b"1")
    assert dict(response.headers) == {
        "x-amzn-RequestId": "request-id",
        "X-Amzn-Remapped-Content-Length": "0",
        "X-Amz-Executed-Version": "$LATEST",
        "Content-Type": "application/json",
    }
    assert load("lambda").serialise("Invoke", {"StatusCode": 202}, "request-id").status == 202
    assert load("lambda").serialise("CreateFunction", {}, "request-id").status == 201


def form(body: bytes, query: str = "") -> Request:
    return Request.of("POST", "/", query, {"Content-Type": "application/x-www-form-urlencoded"}, body)


def test_query_by_body_or_query_string() -> None:
    codec = load("iam")
    body, query = b"Action=GetUser&Version=2010-05-08&UserName=a%20b", "Action=GetUser&Version=2010-05-08&UserName=a+b"
    for request in (form(body), Request.of("GET", "/", query)):
        assert codec.identify(request) == "GetUser"
        assert codec.parse("GetUser", request) == {"UserName": "a b"}


@pytest.mark.parametrize(("given", "said"), [("&Version=2009-01-01", "2009-01-01"), ("", "NO_VERSION_SPECIFIED")])
def test_query_for_another_version(given: str, said: str) -> None:
    with pytest.raises(CommonError) as caught:
        load("iam").identify(form(f"Action=GetUser{given}".encode()))
    assert caught.value.message == f"Could not find operation GetUser for version {said}"


@pytest.mark.parametrize("body", [b"", b"Action=", b"Action=Fly&Version=2010-05-08", b"Version=2010-05-08"])
def test_query_without_a_known_action(body: bytes) -> None:
    with pytest.raises(CommonError) as caught:
        load("iam").identify(form(body))
    assert caught.value.code == "UnknownOperation"


@pytest.mark.parametrize(
    "body",
    [
        b"Tags.member.x.Key=a",
        b"Tags=a",
        b"Tags.member=a",
        b"Tags.member.1=a",
        b"UserName.x=a",
        b"MaxItems=many",
        b"UserName=%ff",
        b"a" + b".a" * 100_000 + b"=x",
        b"a=&" * 200_000,
        b"Tags.member.99999999999999999999.Key=a",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_malformed_forms_are_refused(body: bytes) -> None:
    operation = "ListUsers" if body.startswith(b"MaxItems") else "CreateUser"
    with pytest.raises(CommonError) as caught:
        load("iam").parse(operation, form(body))
    assert caught.value.code == "Serialization"


def test_lists_are_read_in_the_order_of_their_indexes() -> None:
    body = b"Tags.member.10.Key=b&Tags.member.10.Value=2&Tags.member.2.Key=a&Tags.member.2.Value=1"
    assert load("iam").parse("TagUser", form(body)) == {"Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]}


def test_query_answers() -> None:
    user = {"User": {"UserName": "<a>", "CreateDate": 1_577_836_800.9}}
    response = load("iam").serialise("GetUser", user, "request-id")
    assert response.body == (
        b'<GetUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetUserResult><User><UserName>&lt;a&gt;</UserName>'
        b"<CreateDate>2020-01-01T00:00:00Z</CreateDate></User></GetUserResult>"
        b"<ResponseMetadata><RequestId>request-id</RequestId></ResponseMetadata></GetUserResponse>"
    )
    assert dict(response.headers)["Content-Type"] == "text/xml"
    nothing = load("iam").serialise("DeleteUser", {}, "request-id")
    assert nothing.body == (
        b'<DeleteUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        b"<ResponseMetadata><RequestId>request-id</RequestId></ResponseMetadata></DeleteUserResponse>"
    )


def test_xml_with_entities_is_refused() -> None:
    body = (
        b'<!DOCTYPE x [<!ENTITY a "b">]><CreateBucketConfiguration><LocationConstraint>&a;</LocationConstraint></CreateBucketConfiguration>'
    )
    with pytest.raises(CommonError) as caught:
        load("s3").parse("CreateBucket", Request.of("PUT", "/bucket", body=body))
    assert caught.value.code == "Serialization"


def test_codecs_are_made_once_and_without_botocore() -> None:
    assert load("sts") is load("sts")
    assert load("sts") is not load("sts", frozenset({"Tag"}))
    with pytest.raises(LookupError):
        load("nonesuch")
    with pytest.raises(ValueError, match="ec2"):
        load("ec2")
    # botocore takes longer to import than all our models to load, and its memory would stay with us.
    code = "import sys; from haar.wire import load; load('dynamodb').validate('ListTables', {}); sys.exit('botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
