"""Logs of stages: the execution log of a method's requests, and the access log of a stage, both to CloudWatch Logs.

Lines wait in memory and are written every FLUSH_SECONDS, as the role that the account's settings name: what that role may not write
is not written.
"""

import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from haar.auth.principal import Principal
from haar.services.apigateway.dataplane.call import Call
from haar.services.apigateway.dataplane.mapping import look_up, plain
from haar.services.apigateway.records import ACCOUNT, get_doc
from haar.services.iam import public as iam
from haar.services.logs import public as logs
from haar.services.service import Demand, Host, keep_writing
from haar.store.errors import StoreError
from haar.wire.errors import ServiceError
from haar.wire.http import Response

FLUSH_SECONDS = 1.0
MAX_WAITING = 100_000
"""Lines that wait to be written; more are dropped, and that is said in haar's own log."""
MAX_BATCH = 1000
"""Events of one transaction."""
SERVICE = "apigateway.amazonaws.com"

_DATA = ("Method request ", "Endpoint request ", "Endpoint response ", "Method response ", "Authorizer result ")
"""How lines begin that are only for those who log requests and responses in full."""
_ERROR = ("Execution failed", "Lambda execution failed", "Unauthorized", "The client is not authorized", "Gateway response type")

log = logging.getLogger("haar.apigateway")


class StageLog:
    """The execution log of one request, as a stage keeps it."""

    def __init__(self, now: Callable[[], float], request_id: str, level: str, trace: bool) -> None:
        self._now = now
        self._prefix = f"({request_id}) "
        self._errors_only = level == "ERROR"
        self._trace = trace
        self.lines: list[tuple[int, str]] = []

    def add(self, text: str) -> None:
        if (self._errors_only and not text.startswith(_ERROR)) or (not self._trace and text.startswith(_DATA)):
            return
        self.lines.append((int(self._now() * 1000), self._prefix + text))


class LogSink:
    """What waits to be written. One a host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._stream = host.ids.bytes(16).hex()
        self._waiting: dict[tuple[str, str, bool, bool], list[tuple[int, str]]] = {}
        self._count = 0
        self._dropped = 0

    def add(self, region: str, group: str, lines: Iterable[tuple[int, str]], *, makes_group: bool, delivered: bool = False) -> None:
        """Takes lines for a group; only an execution log makes its group. `delivered` lines need no role: HTTP APIs' logs."""
        lines = list(lines)
        if self._count + len(lines) > MAX_WAITING:
            self._dropped += len(lines)
            return
        self._count += len(lines)
        self._waiting.setdefault((region, group, makes_group, delivered), []).extend(lines)

    async def flush(self) -> None:
        """Writes all that waits."""
        waiting, self._waiting, self._count = self._waiting, {}, 0
        if self._dropped:
            log.warning("%d lines of API Gateway's logs were dropped: they came faster than they could be written", self._dropped)
            self._dropped = 0
        for (region, group, makes_group, delivered), lines in waiting.items():
            try:
                if await (self._is_there(region, group) if delivered else self._may_write(region, group, makes_group)):
                    for at in range(0, len(lines), MAX_BATCH):
                        await logs.append(self._host, region, group, self._stream, lines[at : at + MAX_BATCH])
            except (ServiceError, StoreError) as error:
                log.warning("%s: %d log events are lost: %s", group, len(lines), error)

    async def _is_there(self, region: str, group: str) -> bool:
        return await logs.missing(self._host, region, group, self._stream) != "group"

    async def _may_write(self, region: str, group: str, makes_group: bool) -> bool:
        settings = await get_doc(self._host.store, ACCOUNT, region, "account") or {}
        role = settings.get("cloudwatchRoleArn")
        if not role or not await iam.role_trusts(self._host, role, SERVICE):
            return False
        principal = await iam.role_principal(self._host, role, "BackplaneAssumeRoleSession")
        absent = await logs.missing(self._host, region, group, self._stream)
        if principal is None or (absent == "group" and not makes_group):
            return False
        arn = f"arn:aws:logs:{region}:{self._host.account}:log-group:{group}:log-stream:"
        needed = [("logs:PutLogEvents", arn + self._stream)]
        if absent:
            needed.append(("logs:CreateLogStream", arn + self._stream))
        if absent == "group":
            needed.append(("logs:CreateLogGroup", arn))
        for action, resource in needed:
            if not await self._may(principal, action, resource):
                log.warning("%s may not %s on %s: API Gateway's log is not written", role, action, resource)
                return False
        return True

    async def _may(self, principal: Principal, action: str, resource: str) -> bool:
        known = iam.decide_cached(self._host, principal, action, resource)
        if known is None:
            known = await iam.decide(self._host, principal, Demand(action, resource), {})
        return known.allowed


async def write_logs(host: Host) -> None:
    await keep_writing(host.get(LogSink).flush, FLUSH_SECONDS)


def execution_group(api_id: str, stage: str, canary: bool) -> str:
    return f"API-Gateway-Execution-Logs_{api_id}/{stage}" + ("/Canary" if canary else "")


_VARIABLE = re.compile(r"\$(?:(context\.[A-Za-z0-9_.\-]*[A-Za-z0-9_])|\{(context\.[A-Za-z0-9_.\-]*[A-Za-z0-9_])\})")
_GROUP = re.compile(r"arn:aws[a-z-]*:logs:([a-z0-9-]+):(\d{12}):log-group:([A-Za-z0-9_/.#\-]+)(?::\*)?")


def group_of(destination: str) -> tuple[str, str, str] | None:
    """Region, account and name of the log group of an access log's destination; None when it is none."""
    matched = _GROUP.fullmatch(destination)
    return (matched[1], matched[2], matched[3]) if matched else None


class AccessLog:
    """A stage's access log: a line for every request, of the stage's format."""

    def __init__(self, destination: str, form: str) -> None:
        found = group_of(destination)
        self._region, _, self._group = found or ("", "", "")
        self._parts: list[tuple[str, str]] = []
        at = 0
        form = form.rstrip("\r\n")
        for matched in _VARIABLE.finditer(form):
            self._parts.append((form[at : matched.start()], matched[1] or matched[2]))
            at = matched.end()
        self._end = form[at:]

    def line(self, call: Call, response: Response) -> str:
        """A request in the stage's format."""
        own = facts(call, response)
        return self.render(lambda name: own[name] if name in own else look_up(call, name))

    def render(self, value_of: Callable[[str], Any]) -> str:
        """The format with the values of its variables (`context.status`); what is not known is a dash."""
        made = []
        for literal, name in self._parts:
            value = value_of(name)
            made.append(literal)
            made.append(str(value) if value not in (None, "") else "-")
        return "".join(made) + self._end

    def write(self, call: Call, response: Response) -> None:
        self.put(call.host, call.now, self.line(call, response))

    def put(self, host: Host, now: float, line: str, *, delivered: bool = False) -> None:
        if self._group:
            host.get(LogSink).add(self._region, self._group, [(int(now * 1000), line)], makes_group=False, delivered=delivered)


def facts(call: Call, response: Response) -> dict[str, Any]:
    """The variables that only an access log has.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html
    """
    refused = call.refused
    length = len(response.body) if isinstance(response.body, bytes) else None
    found: dict[str, Any] = {
        "context.status": response.status,
        "context.responseLength": length,
        "context.responseLatency": int((call.host.clock.now() - call.now) * 1000),
        "context.integrationLatency": call.integration_ms,
        "context.integration.latency": call.integration_ms,
        "context.integrationStatus": call.integration_status,
        "context.integration.status": call.integration_status,
        "context.integration.integrationStatus": call.integration_status,
        "context.xrayTraceId": call.trace_id.partition("Root=")[2].partition(";")[0],
    }
    if refused is not None:
        found |= {
            "context.error.message": refused.message,
            "context.error.messageString": plain_json(refused.message),
            "context.error.responseType": refused.kind,
            "context.error.validationErrorString": refused.found or None,
            "context.integration.error": refused.why if refused.kind.startswith("INTEGRATION") else None,
            "context.integrationErrorMessage": refused.why if refused.kind.startswith(("INTEGRATION", "API_CONFIG")) else None,
        }
    return found


def plain_json(value: str | None) -> str | None:
    return None if value is None else plain(orjson.dumps(value).decode())
