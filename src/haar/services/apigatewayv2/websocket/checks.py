"""What a message or a handshake must pass before its integration is asked: API keys, speeds, models."""

import jsonschema_rs
import orjson

from haar.services.apigateway import public as rest
from haar.services.apigatewayv2.dataplane.answers import Refused, failed, forbidden, throttled
from haar.services.apigatewayv2.dataplane.call import Call
from haar.services.apigatewayv2.records import Doc, Draft
from haar.services.apigatewayv2.websocket.expressions import evaluate, message_of

USAGE_KEY = "$context.authorizer.usageIdentifierKey"


class Models:
    """`RequestModels` of a route: the schema of a message, by the route's selection expression."""

    def __init__(self, draft: Draft, route: Doc) -> None:
        self._expression = route.get("ModelSelectionExpression") or "$default"
        schemas = {model["Name"]: {"schema": model.get("Schema") or "{}"} for model in draft.models.values()}
        self._schemas: dict[str, jsonschema_rs.Draft4Validator | None] = {}
        wanted = {} if draft.api.get("DisableSchemaValidation") else route.get("RequestModels", {})
        for key, name in wanted.items():
            try:
                found = rest.schema_validator(schemas[name]["schema"], schemas) if name in schemas else None
            except ValueError:
                found = None
            self._schemas[key.removeprefix("\\")] = found

    def check(self, call: Call) -> None:
        """Raises Refused (400) unless the message is as its model says; what no model is for passes."""
        if not self._schemas:
            return
        key = evaluate(self._expression, call)
        chosen = key if key in self._schemas else "$default"
        if chosen not in self._schemas:
            return
        schema = self._schemas[chosen]
        if schema is None:
            raise failed("Invalid model schema")
        try:
            document = orjson.loads(message_of(call) or "{}")
        except orjson.JSONDecodeError:
            raise Refused(400, "Invalid request body", "the message is not JSON") from None
        if not schema.is_valid(document):
            raise Refused(400, "Invalid request body", "the message is not as its model says")


def check_parameters(call: Call) -> None:
    """Raises Refused (400) when a handshake has not all that `$connect` requires."""
    assert call.endpoint is not None
    missing = [name for place, name in call.endpoint.required if evaluate(f"$request.{place}.{name}", call) in (None, "")]
    if missing:
        raise Refused(400, f"Missing required request parameters: [{', '.join(missing)}]")


async def check_key(call: Call) -> None:
    """Raises Refused unless the caller has a key that is in a usage plan of this stage, and is not too fast."""
    stage, session = call.stage, call.session
    assert session is not None
    expression = stage.compiled.draft.api["ApiKeySelectionExpression"]
    value = session.usage_key if expression == USAGE_KEY else evaluate(expression, call)
    keys = call.host.get(rest.Keys)
    grant = await keys.find(stage.region, value) if value else None
    found = grant.plan(stage.api_id, stage.name) if grant is not None and grant.key["enabled"] else None
    if grant is None or found is None:
        raise forbidden("Invalid API Key identifier specified")
    plan, entry = found
    name = f"{plan['id']}/{grant.key['id']}"
    own = entry.get("throttle", {}).get(call.route_key)
    if own is not None and not keys.buckets.take(f"{name}/{stage.api_id}/{stage.name}/{call.route_key}", own, call.now):
        raise throttled()
    if not keys.buckets.take(name, plan.get("throttle", {}), call.now):
        raise throttled()
    if not await call.host.get(rest.Usage).take(stage.region, plan, grant.key["id"], call.now):
        raise Refused(429, "Limit Exceeded", "Usage plan quota is used up")
