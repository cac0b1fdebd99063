"""Methods and method responses."""

import re

from haar.services.apigateway import errors
from haar.services.apigateway.dataplane import routing
from haar.services.apigateway.demands import on
from haar.services.apigateway.face import service
from haar.services.apigateway.patch import Entries, Members, Rules, Value, apply, boolean, text_or_none
from haar.services.apigateway.records import Doc, Draft, change_parts, read_parts
from haar.services.service import Context, Input, Output

METHODS = (*routing.METHODS, routing.ANY)
AUTHORIZATIONS = ("NONE", "AWS_IAM", "CUSTOM", "COGNITO_USER_POOLS")
NO_AUTHORIZER = (
    "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires a valid authorizer."
)
NO_CONTENT_TYPE = "Content-Type specified was not found"
REQUEST_PARAMETER = re.compile(r"method\.request\.(querystring|header|path|multivaluequerystring|multivalueheader)\.[A-Za-z0-9._$\-\[\]]+")
RESPONSE_PARAMETER = re.compile(r"method\.response\.header\.[A-Za-z0-9._$\-]+")
STATUS = re.compile(r"[1-5]\d\d")
METHOD = "/restapis/{restApiId}/resources/{resourceId}/methods/{httpMethod}"

RULES: Rules = {
    "/authorizationType": Value(),
    "/authorizerId": Value(text_or_none),
    "/apiKeyRequired": Value(boolean),
    "/operationName": Value(text_or_none),
    "/requestValidatorId": Value(text_or_none),
    "/requestParameters": Entries(boolean),
    "/requestModels": Entries(missing=NO_CONTENT_TYPE),
    "/authorizationScopes": Members(by_value=True),
}
RESPONSE_RULES: Rules = {
    "/statusCode": Value(),
    "/responseParameters": Entries(boolean),
    "/responseModels": Entries(missing=NO_CONTENT_TYPE),
}


def check_method(draft: Draft, method: Doc) -> None:
    kind = method.get("authorizationType")
    if kind not in AUTHORIZATIONS:
        raise errors.bad_request(f"Invalid authorization type specified. Valid options are {','.join(AUTHORIZATIONS)}")
    if kind in ("CUSTOM", "COGNITO_USER_POOLS"):
        if method.get("authorizerId") not in draft.authorizers:
            raise errors.bad_request(NO_AUTHORIZER)
    else:
        method.pop("authorizerId", None)
    validator = method.get("requestValidatorId")
    if validator is not None and validator not in draft.validators:
        raise errors.bad_request("Invalid Request Validator identifier specified")
    for name in method.get("requestModels", {}).values():
        if name not in draft.models:
            raise errors.bad_request(f"Invalid model identifier specified: {name}")
    _check_parameters(method.get("requestParameters", {}))


def _check_parameters(parameters: Doc) -> None:
    names = []
    for parameter in parameters:
        if not REQUEST_PARAMETER.fullmatch(parameter):
            raise errors.bad_mapping(parameter)
        names.append(parameter.split(".", 3)[3])
    if len(set(names)) < len(names):
        raise errors.bad_request("Parameter names must be unique across querystring, header and path")


@service.operation("PutMethod", on("PUT", METHOD))
async def put_method(ctx: Context, input: Input) -> Output:
    http_method = input["httpMethod"]
    method: Doc = {
        "httpMethod": http_method,
        "authorizationType": input["authorizationType"],
        "apiKeyRequired": input.get("apiKeyRequired", False),
    }
    for member in ("authorizerId", "requestValidatorId", "operationName", "requestParameters", "requestModels", "authorizationScopes"):
        if input.get(member):
            method[member] = input[member]

    def change(draft: Draft) -> Doc:
        resource = draft.resource(input["resourceId"])
        if http_method not in METHODS:
            raise errors.bad_request(f"Invalid HttpMethod specified. Valid options are {','.join(METHODS)}")
        if http_method in resource.get("resourceMethods", {}):
            raise errors.conflict("Method already exists for this resource")
        check_method(draft, method)
        resource.setdefault("resourceMethods", {})[http_method] = method
        return method

    return await change_parts(ctx, input["restApiId"], change)


@service.operation("GetMethod", on("GET", METHOD))
async def get_method(ctx: Context, input: Input) -> Output:
    return (await read_parts(ctx, input["restApiId"])).method(input["resourceId"], input["httpMethod"])


@service.operation("UpdateMethod", on("PATCH", METHOD))
async def update_method(ctx: Context, input: Input) -> Output:
    resource_id, http_method = input["resourceId"], input["httpMethod"]

    def change(draft: Draft) -> Doc:
        method = apply(draft.method(resource_id, http_method), input.get("patchOperations", []), RULES)
        check_method(draft, method)
        draft.resource(resource_id)["resourceMethods"][http_method] = method
        return method

    return await change_parts(ctx, input["restApiId"], change)


@service.operation("DeleteMethod", on("DELETE", METHOD))
async def delete_method(ctx: Context, input: Input) -> Output:
    def change(draft: Draft) -> None:
        draft.method(input["resourceId"], input["httpMethod"])
        del draft.resource(input["resourceId"])["resourceMethods"][input["httpMethod"]]

    await change_parts(ctx, input["restApiId"], change)
    return {}


def check_status(status: str) -> None:
    if not STATUS.fullmatch(status):
        raise errors.bad_request("Invalid status code specified. Status code must be a 3 digit number between 100 and 599")


def check_method_response(draft: Draft, response: Doc) -> None:
    for name in response.get("responseModels", {}).values():
        if name not in draft.models:
            raise errors.bad_request(f"Invalid model identifier specified: {name}")
    for parameter in response.get("responseParameters", {}):
        if not RESPONSE_PARAMETER.fullmatch(parameter):
            raise errors.bad_mapping(parameter)


@service.operation("PutMethodResponse", on("PUT", METHOD + "/responses/{statusCode}"))
async def put_method_response(ctx: Context, input: Input) -> Output:
    status = input["statusCode"]
    response: Doc = {"statusCode": status}
    for member in ("responseParameters", "responseModels"):
        if member in input:
            response[member] = input[member]

    def change(draft: Draft) -> Doc:
        method = draft.method(input["resourceId"], input["httpMethod"])
        check_status(status)
        if status in method.get("methodResponses", {}):
            raise errors.conflict("Response already exists for this method")
        check_method_response(draft, response)
        method.setdefault("methodResponses", {})[status] = response
        return response

    return await change_parts(ctx, input["restApiId"], change)


def _response(draft: Draft, input: Input) -> Doc:
    method = draft.method(input["resourceId"], input["httpMethod"])
    found: Doc | None = method.get("methodResponses", {}).get(input["statusCode"])
    if found is None:
        raise errors.no_response()
    return found


@service.operation("GetMethodResponse", on("GET", METHOD + "/responses/{statusCode}"))
async def get_method_response(ctx: Context, input: Input) -> Output:
    return _response(await read_parts(ctx, input["restApiId"]), input)


@service.operation("UpdateMethodResponse", on("PATCH", METHOD + "/responses/{statusCode}"))
async def update_method_response(ctx: Context, input: Input) -> Output:
    def change(draft: Draft) -> Doc:
        response = apply(_response(draft, input), input.get("patchOperations", []), RESPONSE_RULES)
        check_status(response["statusCode"])
        check_method_response(draft, response)
        responses = draft.method(input["resourceId"], input["httpMethod"])["methodResponses"]
        del responses[input["statusCode"]]
        responses[response["statusCode"]] = response
        return response

    return await change_parts(ctx, input["restApiId"], change)


@service.operation("DeleteMethodResponse", on("DELETE", METHOD + "/responses/{statusCode}"))
async def delete_method_response(ctx: Context, input: Input) -> Output:
    def change(draft: Draft) -> None:
        _response(draft, input)
        responses = draft.method(input["resourceId"], input["httpMethod"])["methodResponses"]
        del responses[input["statusCode"]]
        if not responses:
            del draft.method(input["resourceId"], input["httpMethod"])["methodResponses"]

    await change_parts(ctx, input["restApiId"], change)
    return {}
