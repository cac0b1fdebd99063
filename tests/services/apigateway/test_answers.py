"""What API Gateway answers itself."""

import orjson

from haar.services.apigateway.dataplane.answers import default_response, forbidden, malformed, missing_token, render, timed_out


def look_up(name: str) -> str | None:
    return {"context.stage": "v1", "stageVariables.a": "A", "method.request.header.Accept": "text/html"}.get(name)


def test_the_defaults():
    for refused, status, kind, message in [
        (missing_token(), 403, "MissingAuthenticationTokenException", "Missing Authentication Token"),
        (forbidden(), 403, "ForbiddenException", "Forbidden"),
        (malformed(), 502, "InternalServerErrorException", "Internal server error"),
        (timed_out(), 504, "InternalServerErrorException", "Endpoint request timed out"),
    ]:
        got, headers, body = render(refused, {}, "", look_up)
        assert got == status and dict(headers) == {"x-amzn-ErrorType": kind, "Content-Type": "application/json"}
        assert orjson.loads(body) == {"message": message}


def test_one_that_was_set():
    own = {
        "statusCode": "404",
        "responseParameters": {
            "gatewayresponse.header.Access-Control-Allow-Origin": "'*'",
            "gatewayresponse.header.x-accept": "method.request.header.Accept",
            "gatewayresponse.header.x-nothing": "method.request.header.Nothing",
        },
        "responseTemplates": {
            "application/json": '{"message":$context.error.messageString,"type":"$context.error.responseType",'
            '"s":"${context.stage}$stageVariables.a","n":"$context.nothing"}',
            "text/xml": "<m>$context.error.message</m>",
        },
    }
    responses = {"MISSING_AUTHENTICATION_TOKEN": own}
    status, headers, body = render(missing_token(), responses, "", look_up)
    assert status == 404 and dict(headers) == {
        "x-amzn-ErrorType": "MissingAuthenticationTokenException",
        "Content-Type": "application/json",
        "Access-Control-Allow-Origin": "*",
        "x-accept": "text/html",
    }
    assert orjson.loads(body) == {"message": "Missing Authentication Token", "type": "MISSING_AUTHENTICATION_TOKEN", "s": "v1A", "n": ""}
    assert render(missing_token(), responses, "text/xml", look_up)[2] == b"<m>Missing Authentication Token</m>"
    assert render(forbidden(), responses, "", look_up)[0] == 403, "others stay as they are"


def test_the_general_ones_stand_for_all_of_their_kind():
    responses = {"DEFAULT_5XX": {"statusCode": "599", "responseParameters": {"gatewayresponse.header.x": "'1'"}}}
    assert render(malformed(), responses, "", look_up)[0] == 599
    assert render(missing_token(), responses, "", look_up)[0] == 403
    shown = default_response("INTEGRATION_TIMEOUT", responses)
    assert shown["statusCode"] == "599" and shown["defaultResponse"] is True and shown["responseParameters"]
    assert default_response("THROTTLED", responses)["statusCode"] == "429"
    assert "statusCode" not in default_response("DEFAULT_4XX", responses)


def test_what_follows_a_variable_stays():
    own = {"responseTemplates": {"application/json": '{"m": $context.error.messageString}'}}
    _, _, body = render(forbidden(), {"DEFAULT_4XX": own}, "", look_up)
    assert orjson.loads(body) == {"m": "Forbidden"}
