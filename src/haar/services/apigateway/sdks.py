"""Client libraries of APIs. haar makes them for JavaScript."""

import io
import re
import zipfile
from collections.abc import Mapping
from importlib.resources import files
from typing import Any
from urllib.parse import unquote

import orjson

from haar.services.apigateway import errors
from haar.services.apigateway.dataplane.routing import ANY, METHODS
from haar.services.apigateway.demands import on
from haar.services.apigateway.exporting import deployed
from haar.services.apigateway.face import service
from haar.services.apigateway.pages import page
from haar.services.apigateway.records import Doc, Draft
from haar.services.service import Context, Input, Output

JAVASCRIPT: Mapping[str, Any] = {
    "id": "javascript",
    "friendlyName": "JavaScript",
    "description": "JavaScript SDK",
    "configurationProperties": [],
}
README = """%s: a client for JavaScript

apigClient.js stands by itself: <script src="apigClient.js"></script> in a page, or require("./apigClient.js") in Node.
Its first lines say how it is used. Its methods:

%s
"""
WHEN = (1980, 1, 1, 0, 0, 0)
"""The files' time: the same API makes the same archive."""


@service.operation("GetSdkTypes", on("GET", "/sdktypes"))
async def get_sdk_types(ctx: Context, input: Input) -> Output:
    return page([dict(JAVASCRIPT)], input, lambda one: str(one["id"]))


@service.operation("GetSdkType", on("GET", "/sdktypes/{id}"))
async def get_sdk_type(ctx: Context, input: Input) -> Output:
    if input["id"] != JAVASCRIPT["id"]:
        raise errors.not_found("Invalid SDK type identifier specified")
    return JAVASCRIPT


@service.operation("GetSdk", on("GET", "/restapis/{restApiId}/stages/{stageName}/sdks/{sdkType}"))
async def get_sdk(ctx: Context, input: Input) -> Output:
    """A zip with apigClient.js, whose address is the one that this call came to."""
    draft = await deployed(ctx, input["restApiId"], input["stageName"])
    if input["sdkType"] != JAVASCRIPT["id"]:
        raise errors.bad_request(f"haar makes SDKs for javascript only, not for {input['sdkType']}")
    host = ctx.headers.get("host", "localhost")
    scheme = "https" if ctx.secure else "http"
    url = f"{scheme}://{host}/restapis/{input['restApiId']}/{input['stageName']}/_user_request_"
    return {
        "contentType": "application/octet-stream",
        "contentDisposition": f'attachment; filename="javascript_{input["restApiId"]}-{input["stageName"]}.zip"',
        "body": archive(draft, url),
    }


def archive(draft: Draft, url: str) -> bytes:
    """The SDK of a deployment. Pure, but for reading what it is made of."""
    methods = dict(sorted(_methods(draft).items()))
    name = draft.api["name"]
    text = files("haar.services.apigateway.sdk").joinpath("client.cjs").read_text()
    parts = {
        "NAME": re.sub(r"[^\w .-]", "", name),
        "URL": url,
        "REGION": draft.region,
        "METHODS": orjson.dumps(methods, option=orjson.OPT_INDENT_2).decode().replace("<", "\\u003c"),
    }
    text = re.sub(r"%(NAME|URL|REGION|METHODS)%", lambda found: parts[found[1]], text)
    listed = "\n".join(f"  {method['verb']} {method['path']}: {called}" for called, method in methods.items())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for file, content in (("apigClient.js", text), ("README.md", README % (name, listed))):
            made.writestr(zipfile.ZipInfo(f"apiGateway-js-sdk/{file}", WHEN), content)
    return buffer.getvalue()


def _methods(draft: Draft) -> dict[str, Doc]:
    """The client's methods by name: `petsPetIdGet` for GET /pets/{petId}."""
    found: dict[str, Doc] = {}
    for resource in draft.resources.values():
        for http_method, method in resource.get("resourceMethods", {}).items():
            for verb in METHODS if http_method == ANY else (http_method,):
                found[method_name(resource["path"], verb)] = _described(resource["path"], verb, method)
    return found


def _described(path: str, verb: str, method: Doc) -> Doc:
    places: dict[str, list[str]] = {"querystring": [], "header": []}
    for parameter in method.get("requestParameters", {}):
        place, _, name = parameter.removeprefix("method.request.").partition(".")
        places.setdefault(place.removeprefix("multivalue"), []).append(name)
    return {
        "verb": verb,
        "path": path,
        "query": places["querystring"],
        "header": places["header"],
        "iam": method["authorizationType"] == "AWS_IAM",
    }


def method_name(path: str, verb: str) -> str:
    words = [word for word in re.split(r"[^A-Za-z0-9]+", unquote(path)) if word] or ["root"]
    return words[0][0].lower() + words[0][1:] + "".join(word[0].upper() + word[1:] for word in words[1:]) + verb.capitalize()
