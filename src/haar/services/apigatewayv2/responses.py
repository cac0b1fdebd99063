"""Route responses and integration responses of WebSocket APIs."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from haar.services.apigatewayv2 import errors
from haar.services.apigatewayv2.demands import on
from haar.services.apigatewayv2.face import service
from haar.services.apigatewayv2.integrations import find as find_integration
from haar.services.apigatewayv2.pages import of, page
from haar.services.apigatewayv2.records import Doc, Draft, change, given, read_draft, renewed
from haar.services.apigatewayv2.routes import find as find_route
from haar.services.service import Context, Input, Output

ID_LETTERS = 6


class Kind(NamedTuple):
    """One of the two kinds: what it belongs to, and where it is kept."""

    name: str
    parent: str
    """The member that names what it belongs to: `RouteId`."""
    id: str
    key: str
    path: str
    members: tuple[str, ...]
    find_parent: Callable[[Draft, str], Doc]

    def all(self, draft: Draft, input: Input) -> dict[str, Doc]:
        """Those of the parent that the input names, by id. Raises NotFoundException when there is no such parent."""
        self.find_parent(draft, input[self.parent])
        kept = draft.route_responses if self.parent == "RouteId" else draft.integration_responses
        return kept.setdefault(input[self.parent], {})

    def one(self, draft: Draft, input: Input) -> Doc:
        found = self.all(draft, input).get(input[self.id])
        if found is None:
            raise errors.missing(self.name, input[self.id])
        return found


ROUTE = Kind(
    "Route Response", "RouteId", "RouteResponseId", "RouteResponseKey", "/apis/{ApiId}/routes/{RouteId}/routeresponses",
    ("ModelSelectionExpression", "ResponseModels", "ResponseParameters", "RouteResponseKey"), find_route,
)  # fmt: skip
INTEGRATION = Kind(
    "Integration Response", "IntegrationId", "IntegrationResponseId", "IntegrationResponseKey",
    "/apis/{ApiId}/integrations/{IntegrationId}/integrationresponses",
    ("ContentHandlingStrategy", "IntegrationResponseKey", "ResponseParameters", "ResponseTemplates", "TemplateSelectionExpression"),
    find_integration,
)  # fmt: skip


def _check(kind: Kind, draft: Draft, response: Doc, others: dict[str, Doc]) -> None:
    if draft.api["ProtocolType"] != "WEBSOCKET":
        raise errors.bad_request(f"{kind.name}s are not supported for HTTP protocol type")
    if kind is ROUTE and response[kind.key] != "$default":
        raise errors.bad_request("Currently only $default is supported as a route response key")
    for other in others.values():
        if other[kind.key] == response[kind.key] and other[kind.id] != response[kind.id]:
            raise errors.conflict(f"{kind.name} with key {response[kind.key]} already exists")


async def _create(ctx: Context, input: Input, kind: Kind) -> Output:
    response_id = ctx.host.ids.text(ID_LETTERS)

    def edit(draft: Draft) -> Doc:
        others = kind.all(draft, input)
        response = {kind.id: response_id} | given(input, *kind.members)
        _check(kind, draft, response, others)
        others[response_id] = response
        return response

    return await change(ctx, input["ApiId"], edit)


async def _update(ctx: Context, input: Input, kind: Kind) -> Output:
    def edit(draft: Draft) -> Doc:
        response = renewed(kind.one(draft, input), input, *kind.members)
        others = kind.all(draft, input)
        _check(kind, draft, response, others)
        others[input[kind.id]] = response
        return response

    return await change(ctx, input["ApiId"], edit)


async def _get(ctx: Context, input: Input, kind: Kind) -> Output:
    return kind.one(await read_draft(ctx, input["ApiId"]), input)


async def _list(ctx: Context, input: Input, kind: Kind) -> Output:
    found = kind.all(await read_draft(ctx, input["ApiId"]), input)
    return page(sorted(found.values(), key=of(kind.id)), input, of(kind.id))


async def _delete(ctx: Context, input: Input, kind: Kind) -> Output:
    def edit(draft: Draft) -> None:
        kind.one(draft, input)
        del kind.all(draft, input)[input[kind.id]]

    await change(ctx, input["ApiId"], edit)
    return {}


def _register(kind: Kind) -> None:
    noun = kind.id.removesuffix("Id")
    for name, verb, path, run in (
        (f"Create{noun}", "POST", kind.path, _create),
        (f"Get{noun}", "GET", f"{kind.path}/{{{kind.id}}}", _get),
        (f"Get{noun}s", "GET", kind.path, _list),
        (f"Update{noun}", "PATCH", f"{kind.path}/{{{kind.id}}}", _update),
        (f"Delete{noun}", "DELETE", f"{kind.path}/{{{kind.id}}}", _delete),
    ):
        service.operation(name, on(verb, path))(partial(run, kind=kind))


_register(ROUTE)
_register(INTEGRATION)
