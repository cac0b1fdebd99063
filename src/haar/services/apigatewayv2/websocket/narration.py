"""Execution logs of WebSocket APIs: `/aws/apigateway/API/STAGE` in CloudWatch Logs, as each route's LoggingLevel says."""

from haar.services.apigateway.public import LogSink, StageLog, shorten
from haar.services.apigatewayv2.dataplane.call import Call
from haar.services.apigatewayv2.websocket.expressions import message_of
from haar.wire.http import Response

OFF = "OFF"


def begin(call: Call, kind: str, *, key_required: bool) -> None:
    """Opens the log of a request, if its route has one."""
    stage = call.stage
    settings = stage.default | stage.settings.get(call.route_key, {})
    level = settings.get("LoggingLevel", OFF)
    if level == OFF:
        return
    session = call.session
    assert session is not None
    call.log = StageLog(call.host.clock.now, call.request_id, level, bool(settings.get("DataTraceEnabled")))
    call.say(f"Extended Request Id: {call.request_id}")
    where = f"{stage.api_id}/{stage.name}"
    call.say(f"Verifying Usage Plan for request: {call.request_id}. API Key:  API Stage: {where}")
    if not key_required:
        call.say(
            f"API Key  authorized because route '{call.route_key}' does not require API Key. "
            "Request will not contribute to throttle or quota limits"
        )
        call.say(f"Usage Plan check succeeded for API Key  and API Stage {where}")
    call.say(f"Starting execution for request: {call.request_id}")
    call.say(f"WebSocket Request Route: [{call.route_key}]")
    client = f"Client [UserAgent: {session.user_agent}, SourceIp: {session.source_ip}]"
    if kind == "CONNECT":
        call.say(f"{client} is connecting to WebSocket API [{stage.api_id}].")
    elif kind == "DISCONNECT":
        call.say(f"Client [Connection Id: {session.id}] disconnected from API [{stage.api_id}].")
    else:
        call.say(
            f"Method request message from client [Connection Id: {session.id}] to API [{stage.api_id}] "
            f"with the message body {shorten(message_of(call).encode())}"
        )


def end(call: Call, answer: Response | None) -> None:
    """Closes the log: with the integration's answer, or with why there is none."""
    if call.log is None:
        return
    if answer is None:
        call.say(f"Execution failed due to: {call.error}")
    else:
        call.say(f"Received response. Status: {answer.status}, Integration latency: {call.integration_ms or 0} ms")
        if isinstance(answer.body, bytes):
            call.say(f"Endpoint response body before transformations: {shorten(answer.body)}")
        call.say("Successfully completed execution")
    stage = call.stage
    call.host.get(LogSink).add(stage.region, f"/aws/apigateway/{stage.api_id}/{stage.name}", call.log.lines, makes_group=True)
