"""Event source mappings: which function handles the records of which stream, and how."""

import re
from datetime import UTC, datetime
from typing import Any

from haar.services.lambda_ import service
from haar.services.lambda_.access import named, on_anything, tag_conditions
from haar.services.lambda_.destinations import DEAD_LETTERS, check_destination, service_of
from haar.services.lambda_.directory import Directory, Target
from haar.services.lambda_.errors import conflict, invalid, no_policy, not_found, refused
from haar.services.lambda_.filters import MAX_FILTERS, BadPattern, compile_filters
from haar.services.lambda_.lanes import may_read
from haar.services.lambda_.mappingrecords import (
    MAPPINGS,
    STATES,
    Mapping,
    decode_mapping,
    delete_lanes,
    find_mapping,
    positions_of,
    put_lanes,
    put_mapping,
    result_of,
)
from haar.services.lambda_.names import FunctionName, parse_name
from haar.services.lambda_.sources import Source, find_source, is_dynamodb
from haar.services.service import Context, Demand, Demands, Input, Output
from haar.store.contract import Reader, Transaction
from haar.wire.errors import ServiceError

LIST_LIMIT = 100
READ_SLICE = 500
MIN_AGE = 60
MAX_STREAM_AGE = 604_800
UNBOUNDED = -1
REFUSED = {
    "Queues": "message brokers",
    "Topics": "Kafka",
    "SelfManagedEventSource": "self-managed Kafka",
    "SourceAccessConfigurations": "event sources with access configurations",
    "AmazonManagedKafkaEventSourceConfig": "Kafka",
    "SelfManagedKafkaEventSourceConfig": "Kafka",
    "DocumentDBEventSourceConfig": "DocumentDB",
    "ScalingConfig": "SQS, whose mappings have a ScalingConfig",
    "ProvisionedPollerConfig": "provisioned pollers",
    "LoggingConfig": "Kafka, whose mappings have a LoggingConfig",
}
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def arn_of(context: Context, uuid: str) -> str:
    return f"arn:aws:lambda:{context.region}:{context.account}:event-source-mapping:{uuid}"


def shown(context: Context, mapping: Mapping, result: str, state: str = "") -> dict[str, Any]:
    """EventSourceMappingConfiguration."""
    described: dict[str, Any] = {
        "UUID": mapping.uuid,
        "StartingPosition": mapping.start,
        "BatchSize": mapping.batch,
        "MaximumBatchingWindowInSeconds": mapping.window,
        "ParallelizationFactor": mapping.factor,
        "EventSourceArn": mapping.source,
        "FunctionArn": mapping.name(context.region, context.account).qualified,
        "LastModified": datetime.fromtimestamp(mapping.modified, UTC),
        "LastProcessingResult": result,
        "State": state or ("Enabled" if mapping.enabled else "Disabled"),
        "StateTransitionReason": "User action",
        "DestinationConfig": {"OnFailure": {"Destination": mapping.on_failure} if mapping.on_failure else {}},
        "MaximumRecordAgeInSeconds": mapping.age,
        "BisectBatchOnFunctionError": mapping.bisect,
        "MaximumRetryAttempts": mapping.retries,
        "TumblingWindowInSeconds": mapping.tumbling,
        "FunctionResponseTypes": ["ReportBatchItemFailures"] if mapping.partial else [],
        "EventSourceMappingArn": arn_of(context, mapping.uuid),
    }
    if mapping.filters is not None:
        described["FilterCriteria"] = {"Filters": [{"Pattern": pattern} for pattern in mapping.filters]}
    if mapping.metrics:
        described["MetricsConfig"] = {"Metrics": mapping.metrics}
    if mapping.kms:
        described["KMSKeyArn"] = mapping.kms
    return described


def _check(input: Input) -> None:
    """Raises what AWS answers for settings that it would not take, and for those that haar has not."""
    for member, what in REFUSED.items():
        if input.get(member):
            streams = "UUID" in input or is_dynamodb(input.get("EventSourceArn", ""))
            raise invalid(f"Unsupported {member} parameter for given event source mapping type.") if streams else refused(what)
    for kind, setting in input.get("DestinationConfig", {}).items():
        if arn := setting.get("Destination"):
            if kind == "OnSuccess":
                raise invalid("Unsupported DestinationConfig parameter for given event source mapping type.")
            if service_of(arn) not in DEAD_LETTERS:
                raise refused(f"the service of the destination {arn}, which would be an SQS queue, an SNS topic or an S3 bucket")
    age = input.get("MaximumRecordAgeInSeconds", UNBOUNDED)
    if age != UNBOUNDED and not MIN_AGE <= age <= MAX_STREAM_AGE:
        raise invalid(
            f"MaximumRecordAgeInSeconds must be either {UNBOUNDED} (forever) or between {MIN_AGE} and {MAX_STREAM_AGE} (inclusive)"
        )
    filters = _filters(input) or []
    if len(filters) > MAX_FILTERS:
        raise invalid(f"Number of filters cannot exceed {MAX_FILTERS}.")
    try:
        compile_filters(filters)
    except BadPattern:
        raise invalid("Invalid filter pattern definition.") from None


def _filters(input: Input) -> list[str] | None:
    filters = [one.get("Pattern", "") for one in input.get("FilterCriteria", {}).get("Filters", ())]
    return filters or None


def _apply(mapping: Mapping, input: Input) -> None:
    plain = {
        "Enabled": "enabled",
        "BatchSize": "batch",
        "MaximumBatchingWindowInSeconds": "window",
        "ParallelizationFactor": "factor",
        "TumblingWindowInSeconds": "tumbling",
        "MaximumRetryAttempts": "retries",
        "MaximumRecordAgeInSeconds": "age",
        "BisectBatchOnFunctionError": "bisect",
        "KMSKeyArn": "kms",
    }
    for member, attribute in plain.items():
        if member in input:
            setattr(mapping, attribute, input[member])
    if "FilterCriteria" in input:
        mapping.filters = _filters(input)
    if "FunctionResponseTypes" in input:
        mapping.partial = "ReportBatchItemFailures" in input["FunctionResponseTypes"]
    if "DestinationConfig" in input:
        mapping.on_failure = input["DestinationConfig"].get("OnFailure", {}).get("Destination", "")
    if "MetricsConfig" in input:
        mapping.metrics = list(input["MetricsConfig"].get("Metrics", ()))


async def _check_destination(context: Context, target: Target, input: Input) -> None:
    if arn := input.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination"):
        spec = target.specs[-1][1]
        await check_destination(context.host, spec.role_arn, spec.name, arn)


async def _function(context: Context, name: FunctionName) -> Target:
    try:
        return await context.host.get(Directory).find(name)
    except ServiceError:
        raise invalid("Function does not exist") from None


async def _source(context: Context, target: Target, input: Input) -> Source:
    """The event source, when it is there and the function's role may read it."""
    arn = input.get("EventSourceArn")
    if not arn:
        raise invalid("Unrecognized event source.")
    if not is_dynamodb(arn):
        raise refused(f"the service of the event source {arn}; DynamoDB streams may be one")
    start = input.get("StartingPosition")
    if start is None:
        message = "Value null at 'startingPosition' failed to satisfy constraint: Member must not be null."
        raise invalid(f"1 validation error detected: {message}")
    if start == "AT_TIMESTAMP":
        raise invalid(f"Unsupported starting position for arn type: {arn}")
    source = await find_source(context.host, context.region, arn)
    if source is None:
        raise not_found(f"Stream not found: {arn}")
    if not await may_read(context.host, target, source):
        raise invalid(
            f"Cannot access stream {arn}. Please ensure the role can perform the GetRecords, GetShardIterator, DescribeStream, "
            "and ListStreams Actions on your stream in IAM."
        )
    return source


def _on_new(context: Context, input: Input) -> list[Demand]:
    tags = tag_conditions(input.get("Tags", {}))
    wanted = [Demand("lambda:CreateEventSourceMapping", "*", tags | {"lambda:FunctionArn": [named(context, input).qualified]})]
    if tags:
        wanted.append(Demand("lambda:TagResource", arn_of(context, "*"), tags))
    return wanted


def _on_mapping(action: str) -> Demands:
    async def demands(context: Context, input: Input) -> list[Demand]:
        uuid = input["UUID"]
        mapping = await find_mapping(context.store, context.region, uuid)
        if mapping is None:
            return [Demand(action, arn_of(context, uuid))]
        functions = [mapping.name(context.region, context.account).qualified]
        if input.get("FunctionName"):  # it takes the right to it on both the one that had it and the one that gets it
            functions.append(named(context, input).qualified)
        return [
            Demand(action, arn_of(context, uuid), {"lambda:FunctionArn": [function]}, tags=mapping.tags)
            for function in dict.fromkeys(functions)
        ]

    return demands


@service.operation("CreateEventSourceMapping", _on_new)
async def create_event_source_mapping(context: Context, input: Input) -> Output:
    name = named(context, input)
    _check(input)
    target = await _function(context, name)
    source = await _source(context, target, input)
    await _check_destination(context, target, input)
    start = input["StartingPosition"]
    mapping = Mapping(
        uuid=context.host.ids.uuid(),
        function=name.name,
        qualifier=name.qualifier,
        source=source.arn,
        start=start,
        tags=dict(input.get("Tags", {})),
        modified=round(context.now(), 3),
        revision=context.host.ids.text(16),
    )
    _apply(mapping, input)
    positions: list[int | None] = [await source.latest(shard) if start == "LATEST" else None for shard in range(source.shards)]

    async def write(tx: Transaction) -> None:
        for other in await _all(tx, context.region):
            if (other.source, other.function, other.qualifier) == (mapping.source, mapping.function, mapping.qualifier):
                raise conflict(
                    f'The event source arn (" {mapping.source} ") and function (" {mapping.function} ") provided mapping already exists. '
                    f"Please update or delete the existing mapping with UUID {other.uuid}"
                )
        put_mapping(tx, context.region, mapping)
        await put_lanes(tx, mapping, positions)

    await context.store.transact(write)
    return shown(context, mapping, "No records processed", "Creating")


async def _all(reader: Reader, region: str) -> list[Mapping]:
    found: list[Mapping] = []
    start = b""
    while rows := await reader.range(MAPPINGS, region.encode(), start, limit=READ_SLICE):
        found += [decode_mapping(value) for _, value in rows]
        start = rows[-1][0] + b"\x00"
    return found


async def _find(reader: Reader, context: Context, uuid: str) -> Mapping:
    mapping = await find_mapping(reader, context.region, uuid) if _UUID.fullmatch(uuid) else None
    if mapping is None:
        raise no_policy()
    return mapping


@service.operation("GetEventSourceMapping", _on_mapping("lambda:GetEventSourceMapping"))
async def get_event_source_mapping(context: Context, input: Input) -> Output:
    mapping = await _find(context.store, context, input["UUID"])
    return shown(context, mapping, await result_of(context.store, mapping.uuid))


@service.operation("UpdateEventSourceMapping", _on_mapping("lambda:UpdateEventSourceMapping"))
async def update_event_source_mapping(context: Context, input: Input) -> Output:
    _check(input)
    before = await _find(context.store, context, input["UUID"])
    name = before.name(context.region, context.account)
    if "FunctionName" in input:
        name = parse_name(input["FunctionName"], context.region, context.account)
    target = await _function(context, name) if {"FunctionName", "DestinationConfig"} & set(input) else None
    if target is not None:
        await _check_destination(context, target, input)
    revision = context.host.ids.text(16)

    async def write(tx: Transaction) -> Mapping:
        mapping = await _find(tx, context, input["UUID"])
        factor = mapping.factor
        _apply(mapping, input)
        mapping.function, mapping.qualifier = name.name, name.qualifier
        mapping.modified, mapping.revision = round(context.now(), 3), revision
        if mapping.factor != factor:
            await put_lanes(tx, mapping, await positions_of(tx, mapping.uuid))
        put_mapping(tx, context.region, mapping)
        return mapping

    mapping = await context.store.transact(write)
    changed = mapping.enabled != before.enabled
    state = ("Enabling" if mapping.enabled else "Disabling") if changed else "Updating"
    return shown(context, mapping, await result_of(context.store, mapping.uuid), state)


@service.operation("DeleteEventSourceMapping", _on_mapping("lambda:DeleteEventSourceMapping"))
async def delete_event_source_mapping(context: Context, input: Input) -> Output:
    async def write(tx: Transaction) -> tuple[Mapping, str]:
        mapping = await _find(tx, context, input["UUID"])
        result = await result_of(tx, mapping.uuid)
        tx.delete(MAPPINGS, context.region.encode(), mapping.uuid.encode())
        tx.delete(STATES, mapping.uuid.encode())
        await delete_lanes(tx, mapping.uuid)
        return mapping, result

    mapping, result = await context.store.transact(write)
    return shown(context, mapping, result, "Deleting")


@service.operation("ListEventSourceMappings", on_anything("lambda:ListEventSourceMappings"))
async def list_event_source_mappings(context: Context, input: Input) -> Output:
    limit = min(input.get("MaxItems", LIST_LIMIT), LIST_LIMIT)
    name = named(context, input) if "FunctionName" in input else None
    source = input.get("EventSourceArn")
    start, found = input.get("Marker", "").encode(), list[Mapping]()
    while len(found) <= limit:
        rows = await context.store.range(MAPPINGS, context.region.encode(), start, limit=READ_SLICE)
        for _, value in rows:
            mapping = decode_mapping(value)
            if name is not None and (mapping.function, mapping.qualifier) != (name.name, name.qualifier):
                continue
            if source is None or mapping.source == source:
                found.append(mapping)
        if len(rows) < READ_SLICE:
            break
        start = rows[-1][0] + b"\x00"
    listed = [shown(context, mapping, await result_of(context.store, mapping.uuid)) for mapping in found[:limit]]
    output: dict[str, Any] = {"EventSourceMappings": listed}
    return output | ({"NextMarker": found[limit].uuid} if len(found) > limit else {})
