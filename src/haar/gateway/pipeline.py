"""The way of a request: every call of every AWS API operation goes through `Gateway.call`, and nothing goes round it."""

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from inspect import isawaitable
from typing import Any

from haar.auth.principal import Authenticated, Credential, Principal
from haar.auth.sigv4 import authenticate
from haar.eager import into_task
from haar.gateway import cors
from haar.gateway.compression import opened, pack
from haar.gateway.routing import Router
from haar.gateway.strangers import nobody
from haar.policy.messages import access_denied_message
from haar.services.iam.public import circumstances, decide, decide_cached, find_credential, note_use
from haar.services.service import Context, Demand, Host, Service
from haar.store.errors import StoreError
from haar.wire.codec import Codec
from haar.wire.errors import CommonError, ServiceError
from haar.wire.http import Request, Response
from haar.wire.large import LARGE_BODY, parse_large

log = logging.getLogger("haar.gateway")

HEALTH = "/_haar/health"
MAX_PARSED_UNSIGNED = 1 << 20
"""Bytes of a body that are parsed before it is known who sent it."""
CHECKED_AT_ONCE = 64 * 1024
"""Bytes of a body that a service checks in its own way in the loop; a helper thread checks more."""
ANYBODY = Principal("anonymous", "anonymous", "anonymous", "anonymous")
LONG_TAIL = "VV4KQNSO5AEMVJF66Q9ASUAAJG"


class Credentials:
    """Where the verifier finds credentials: IAM."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def find(self, access_key_id: str, session_token: str | None) -> Credential | None:
        return await find_credential(self._host, access_key_id, session_token)


class RequestIds:
    """Identifiers of requests, from a seeded generator: they are no secret, and every request has one."""

    def __init__(self, host: Host) -> None:
        self._bits = random.Random(host.ids.bytes(32)).getrandbits  # noqa: S311 - not for secrets
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
        self._pairs = [first + second for first in digits for second in digits]
        self._ours = "".join(self._pairs[self._bits(10)] for _ in range(8))

    def uuid(self) -> str:
        digits = f"{self._bits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def long(self) -> str:
        """As DynamoDB's: 52 digits of base 32, the second half always the same."""
        bits, pairs = self._bits(50), self._pairs
        mine = pairs[bits & 1023] + pairs[bits >> 10 & 1023] + pairs[bits >> 20 & 1023] + pairs[bits >> 30 & 1023] + pairs[bits >> 40]
        return self._ours + mine + LONG_TAIL


class Gateway:
    """The front door: answers every request of every listener."""

    def __init__(self, host: Host, services: list[Service]) -> None:
        self.host = host
        self.services = services
        self.router = Router(services)
        self._credentials = Credentials(host)
        # SQLite answers without waiting; a client of PostgreSQL needs a task, for its time-outs.
        self._reads_at_once = not host.config.store
        self.ids = RequestIds(host)
        self._now = host.clock.now

    async def handle(self, request: Request) -> Response:
        """Routes a request to AWS's API or to a deployed API."""
        target = request.headers.get("x-amz-target")
        if target is None or request.path != "/" or request.method != "POST":
            for route in self.router.candidates(request):
                if not (self._reads_at_once and route in self.router.eager):
                    await into_task()
                request.body = bytes(request.body)  # the same object, unless it is a large one
                if (answered := await route.serve(self.host, request, self.ids.uuid())) is not None:
                    return answered
            if request.path == HEALTH:
                return Response(200, [("Content-Type", "application/json")], b'{"status":"running"}')
            if cors.is_preflight(request):
                return cors.preflight(request)
        service = self.router.service(request)
        request_id = self.ids.uuid() if service is None or not service.long_ids else self.ids.long()
        if service is None:
            return nobody(request, request_id)
        if not (service.eager and self._reads_at_once):
            await into_task()
        response = await self.call(service, request, request_id)
        if "origin" in request.headers:
            cors.expose(request, response)
        return response

    def purpose(self, request: Request) -> str:
        """What a request is for whose body is too large to be read, as Lambda says it; empty when its head does not tell."""
        service = self.router.service(request)
        if service is None:
            return ""
        try:
            return f" for the {self.router.codec(service, request).identify(request)} operation"
        except (CommonError, ServiceError):
            return ""

    async def call(self, service: Service, request: Request, request_id: str, known: Authenticated | None = None) -> Response:
        """One API call: identify, authenticate, parse, validate, authorise, execute, serialise.

        `known` is who calls when the platform itself says so (`gateway/calls.py`): nothing that comes in from outside has it.
        """
        codec = self.router.codec(service, request)
        operation = None
        try:
            operation = codec.identify(request)
            built = service.operations.get(operation)
            if built is None:  # before its signature is looked at: it may be an operation that takes none
                raise not_built(service, operation)
            early = service.malformed_first and len(request.body) <= MAX_PARSED_UNSIGNED
            input = _parsed(codec, operation, request) if early else None
            large = operation in service.large and len(request.body) > LARGE_BODY
            if len(request.body) > LARGE_BODY:
                if service.most_bytes is not None and len(request.body) > service.most_bytes:
                    raise CommonError("RequestTooLarge", "Request size exceeded the limit")
                request.hashed = await asyncio.to_thread(lambda: sha256(request.body).hexdigest())
            if not large:
                request.body = bytes(request.body)
            if built.signed:
                caller = known or await authenticate(request, self._credentials, self._now(), service=service.signing_name)
            else:
                caller = self._stranger(service, request)
            if input is None:
                input = await self._parse_large(codec, operation, request) if large else _parsed(codec, operation, request)
            if service.check is None:
                codec.validate(operation, input)
            elif len(request.body) > CHECKED_AT_ONCE or "content-encoding" in request.headers:
                await asyncio.to_thread(service.check, operation, input)
            else:
                service.check(operation, input)
            context = Context(
                self.host,
                caller.principal,
                service.only_region or caller.region,
                request_id,
                operation,
                request.client,
                request.headers.get("user-agent", ""),
                request.secure,
                request.headers,
            )
            demands = built.demands(context, input)
            if type(demands) is not tuple and isawaitable(demands):
                demands = await demands
            for demand in demands:
                await authorise(context, demand)
            note_use(self.host, caller.principal, service.signing_name, service.prefix, context.region)
            output = await built.handler(context, input)
            response = codec.serialise(operation, output, request_id)
            if codec.protocol == "json" and "gzip" in request.headers.get("accept-encoding", ""):
                pack(response)
            return response
        except ServiceError as error:
            return codec.serialise_error(error, request_id, operation)
        except StoreError as error:
            log.error("request %s (%s): %s", request_id, operation, error)
            return codec.serialise_error(CommonError("InternalFailure", str(error)), request_id, operation)
        except Exception:
            log.exception("request %s (%s %s)", request_id, service.name, operation)
            failure = CommonError("InternalFailure", "The request processing has failed because of an unknown error, exception or failure.")
            return codec.serialise_error(failure, request_id, operation)

    def _stranger(self, service: Service, request: Request) -> Authenticated:
        """Who makes a call that takes no signature: nobody in particular. Raises RequestTooLarge."""
        if len(request.body) > MAX_PARSED_UNSIGNED:
            raise CommonError("RequestTooLarge", "Request size exceeded the limit")
        return Authenticated(ANYBODY, self.host.config.region, service.signing_name)

    async def _parse_large(self, codec: Codec, operation: str, request: Request) -> dict[str, Any]:
        whole = opened(request)

        def parse(body: bytes) -> dict[str, Any]:
            return codec.parse(operation, replace(whole, body=body))

        return await parse_large(whole.body, parse, self.host.ids.bytes)


def _parsed(codec: Codec, operation: str, request: Request) -> dict[str, Any]:
    return codec.parse(operation, opened(request) if "content-encoding" in request.headers else request)


async def authorise(context: Context, demand: Demand) -> None:
    """Raises AccessDenied, in AWS's words, unless the caller may do what is demanded."""
    if demand.resource_policy is None:
        known = decide_cached(context.host, context.principal, demand.action, demand.resource)
        if known is not None and known.allowed:
            return
    decision = await decide(context.host, context.principal, demand, _circumstances(context))
    if not decision.allowed:
        refusal = CommonError("AccessDenied", access_denied_message(context.principal.arn, demand.action, demand.resource, decision))
        if demand.denied is None:
            raise refusal
        demand.denied(refusal)


def _circumstances(context: Context) -> Mapping[str, Sequence[str]]:
    return circumstances(context.source_ip, context.headers, context.secure, context.region, context.now())


def not_built(service: Service, operation: str) -> ServiceError:
    """The answer for an operation that AWS has and haar has not: it names it."""
    return CommonError("UnknownOperation", f"haar does not have {service.name}:{operation} (docs/compatibility.md lists what it has)")
