"""What haar's own commands ask about functions: signed requests below /_haar/lambda/, each with an action of its own that must be allowed.

GET /_haar/lambda/usage?month=2026-11    haar:GetUsage       what functions have used in a month
GET /_haar/lambda/recordings             haar:ListRecordings the last recorded invocations
GET /_haar/lambda/recordings/ID          haar:GetRecording   one of them with its event and its result (base64)
"""

import base64
import re
from typing import Any
from urllib.parse import parse_qs

import orjson

from haar.auth.sigv4 import authenticate
from haar.policy.messages import access_denied_message
from haar.services.iam.public import circumstances, decide
from haar.services.lambda_.access import Credentials
from haar.services.lambda_.ledger import Ledger, month_of
from haar.services.lambda_.recordings import Recordings, shown
from haar.services.service import Demand, Host
from haar.wire.common import common
from haar.wire.errors import CommonError, ServiceError
from haar.wire.http import Request, Response

PATH = "/_haar/lambda/"
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


class InsightsRoute:
    def matches(self, request: Request) -> bool:
        return request.path.startswith(PATH)

    async def serve(self, host: Host, request: Request, request_id: str) -> Response:
        try:
            status, body = 200, await _answer(host, request)
        except ServiceError as error:
            status, body = _refusal(error)
        return Response(status, [("Content-Type", "application/json"), ("x-amzn-RequestId", request_id)], orjson.dumps(body))


def _refusal(error: ServiceError) -> tuple[int, dict[str, str | None]]:
    if not isinstance(error, CommonError):
        return error.status or 403, {"code": error.code, "message": error.message}
    named = common("lambda", "rest-json", error.code)
    return named.status, {"code": named.code, "message": named.message if error.message is None else error.message}


async def _answer(host: Host, request: Request) -> Any:
    caller = await authenticate(request, Credentials(host), host.clock.now(), service="lambda")
    kind, _, name = request.path.removeprefix(PATH).partition("/")
    action = {"usage": "haar:GetUsage", "recordings": "haar:GetRecording" if name else "haar:ListRecordings"}.get(kind)
    if action is None or request.method != "GET":
        raise ServiceError("UnknownOperationException", f"There is no {request.method} {request.path}", 404)
    asked = circumstances(request.client, request.headers, request.secure, caller.region, host.clock.now())
    decision = await decide(host, caller.principal, Demand(action), asked)
    if not decision.allowed:
        raise ServiceError("AccessDeniedException", access_denied_message(caller.principal.arn, action, "*", decision), 403)
    if kind == "usage":
        return await _usage(host, request)
    recordings = host.get(Recordings)
    if not recordings.seconds:
        raise ServiceError("RecordingIsOff", "Invocations are not recorded: the setting record_hours is 0.", 404)
    if not name:
        return {"Recordings": [shown(each) for each in await recordings.latest()]}
    found = await recordings.find(name)
    if found is None:
        raise ServiceError("ResourceNotFoundException", f"No recorded invocation has the request id {name}", 404)
    return shown(found) | {"Event": base64.b64encode(found.event).decode(), "Payload": base64.b64encode(found.payload).decode()}


async def _usage(host: Host, request: Request) -> Any:
    month = parse_qs(request.query).get("month", [month_of(host.clock.now())])[0]
    if _MONTH.fullmatch(month) is None:
        raise ServiceError("InvalidParameterValueException", f"{month} is no month (2026-11)", 400)
    return {"Month": month, "Functions": await host.get(Ledger).month(month)}
