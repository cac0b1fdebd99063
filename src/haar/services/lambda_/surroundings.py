"""What execution environments need of the platform."""

import logging
import socket
from collections.abc import Callable, Sequence

from haar.auth.principal import Principal
from haar.execution.contract import FunctionSpec, Listener, SessionKeys
from haar.services.iam.public import assume_role_for_service, decide, decide_cached, role_principal
from haar.services.lambda_.access import LAMBDA
from haar.services.lambda_.errors import role_not_assumable
from haar.services.lambda_.packages import fetch
from haar.services.logs.public import append, missing
from haar.services.service import Demand, Host
from haar.store.errors import StoreError
from haar.wire.errors import ServiceError

log = logging.getLogger("haar.lambda")

SESSION_SECONDS = 3600 * 12


class LambdaSurroundings:
    """Code, credentials and logs of functions; `serve` is how the gateway serves AWS's API on an environment's socket."""

    def __init__(
        self,
        host: Host,
        serve: Callable[[socket.socket, str], Listener],
        serve_securely: Callable[[socket.socket], Listener],
        endpoints: frozenset[str],
    ) -> None:
        self._host = host
        self._serve = serve
        self._serve_securely = serve_securely
        self._endpoints = endpoints
        """The words by which host names of AWS are those of services that are here."""

    async def fetch_code(self, code_sha256: str) -> bytes:
        """Raises ServiceError when the package is not there (its function was changed or deleted long ago)."""
        data = await fetch(self._host.store, code_sha256)
        if data is None:
            raise ServiceError("ServiceException", f"The package {code_sha256} is not there any more.", 500)
        return data

    async def credentials(self, spec: FunctionSpec) -> SessionKeys:
        """Raises ServiceError("AccessDeniedException") when Lambda may not take on the role (any more)."""
        try:
            return await assume_role_for_service(
                self._host,
                spec.role_arn,
                LAMBDA,
                spec.name,
                SESSION_SECONDS,
                source_arn=spec.arn,
                conditions=(("lambda:SourceFunctionArn", spec.arn),),
            )
        except ServiceError as error:
            if error.code in ("AccessDenied", "NoSuchEntity"):
                raise role_not_assumable("AccessDeniedException", 403) from None
            raise

    async def log(self, spec: FunctionSpec, stream: str, events: Sequence[tuple[int, str]]) -> None:
        """Writes to the function's log group what its role may write; never raises."""
        try:
            if events and await self._may_log(spec, stream):
                await append(self._host, spec.region, spec.log_group, stream, events)
        except (ServiceError, StoreError) as error:
            log.warning("%s: %d log events are lost: %s", spec.arn, len(events), error)

    async def _may_log(self, spec: FunctionSpec, stream: str) -> bool:
        principal = await role_principal(self._host, spec.role_arn, spec.name)
        if principal is None:
            return False
        group = f"arn:aws:logs:{spec.region}:{spec.account}:log-group:{spec.log_group}:log-stream:"
        needed = [("logs:PutLogEvents", group + stream)]
        absent = await missing(self._host, spec.region, spec.log_group, stream)
        if absent:
            needed.append(("logs:CreateLogStream", group))
        if absent == "group":
            needed.append(("logs:CreateLogGroup", group))
        for action, resource in needed:
            if not await self._may(principal, action, resource):
                return False
        return True

    async def _may(self, principal: Principal, action: str, resource: str) -> bool:
        known = decide_cached(self._host, principal, action, resource)
        if known is None:
            known = await decide(self._host, principal, Demand(action, resource), {})
        return known.allowed

    def listen_securely(self, listening: socket.socket) -> Listener:
        return self._serve_securely(listening)

    def serves(self, name: str) -> bool:
        return not self._endpoints.isdisjoint(name.split("."))

    def listen(self, listening: socket.socket, environment: str) -> Listener:
        return self._serve(listening, environment)
