"""How a table looks from outside: TableDescription."""

from datetime import UTC, datetime
from typing import Any

from haar.services.dynamodb.counts import Count
from haar.services.dynamodb.records import CLASS, IndexRecord, TableRecord, Throughput
from haar.services.dynamodb.schema import warm_units
from haar.services.dynamodb.tables import table_arn
from haar.services.dynamodb.vectors import described


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def shown_status(record: TableRecord) -> str:
    """The TableStatus: UPDATING while an index is made or taken away."""
    return "UPDATING" if record.status == "ACTIVE" and record.indexing else record.status


def describe(record: TableRecord, account: str, count: Count, now: float, status: str | None = None) -> dict[str, Any]:
    """TableDescription; `status` where the answer shows another one than is kept (CREATING, UPDATING, DELETING)."""
    arn = table_arn(record.region, account, record.name)
    shown = status or shown_status(record)
    out: dict[str, Any] = {
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": kind} for name, kind in record.attributes.items()],
        "TableName": record.name,
        "KeySchema": key_schema(record.key_schema),
        "TableStatus": shown,
        "CreationDateTime": moment(record.created),
        "ProvisionedThroughput": _throughput(record.throughput, now),
        "TableSizeBytes": count.bytes,
        "ItemCount": count.items,
        "TableArn": arn,
        "TableId": record.id,
        "DeletionProtectionEnabled": record.protected,
        "WarmThroughput": _warm(record.warm, record.billing, record.throughput),
    }
    if shown == "DELETING":
        # What a table that goes no longer says.
        for name in ("AttributeDefinitions", "KeySchema", "CreationDateTime"):
            del out[name]
    if record.billing == "PAY_PER_REQUEST" or record.billing_changed is not None:
        out["BillingModeSummary"] = {"BillingMode": record.billing}
        if record.billing_changed is not None and shown != "CREATING":
            out["BillingModeSummary"]["LastUpdateToPayPerRequestDateTime"] = moment(record.billing_changed)
    _add_settings(record, arn, out)
    if shown != "DELETING":
        for index in record.indexes:
            if index.vector is not None:
                out.setdefault("VectorIndexes", []).append(described(index, arn, count.indexes.get(index.space), shown))
            else:
                member = "LocalSecondaryIndexes" if index.local else "GlobalSecondaryIndexes"
                out.setdefault(member, []).append(_index(index, arn, count, record.billing, shown, now))
    return out


def _add_settings(record: TableRecord, arn: str, out: dict[str, Any]) -> None:
    if record.on_demand is not None:
        out["OnDemandThroughput"] = record.on_demand
    if record.table_class is not None:
        out["TableClassSummary"] = {"TableClass": record.table_class}
        if CLASS in record.changes:
            out["TableClassSummary"]["LastUpdateDateTime"] = moment(record.changes[CLASS][-1])
    if record.sse is not None:
        out["SSEDescription"] = {"Status": "ENABLED", **record.sse}
    if record.restored is not None:
        restored = record.restored
        out["RestoreSummary"] = {
            "SourceTableArn": restored.table_arn,
            "RestoreDateTime": moment(restored.at),
            "RestoreInProgress": record.status == "CREATING",
        }
        if restored.backup_arn is not None:
            out["RestoreSummary"]["SourceBackupArn"] = restored.backup_arn
    if record.stream is not None:
        stream = record.stream
        if stream.enabled:
            out["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": stream.view}
        out["LatestStreamLabel"] = stream.label
        out["LatestStreamArn"] = f"{arn}/stream/{stream.label}"


def key_schema(schema: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in schema]


def _throughput(throughput: Throughput, now: float) -> dict[str, Any]:
    out: dict[str, Any] = {
        "NumberOfDecreasesToday": throughput.decreases_on(now),
        "ReadCapacityUnits": throughput.read,
        "WriteCapacityUnits": throughput.write,
    }
    if throughput.increased is not None:
        out["LastIncreaseDateTime"] = moment(throughput.increased)
    if throughput.decreased is not None:
        out["LastDecreaseDateTime"] = moment(throughput.decreased)
    return out


def _warm(warm: dict[str, int] | None, billing: str, throughput: Throughput) -> dict[str, Any]:
    return {**warm_units(warm, billing, throughput), "Status": "ACTIVE"}


def _index(index: IndexRecord, arn: str, count: Count, billing: str, status: str, now: float) -> dict[str, Any]:
    projection: dict[str, Any] = {"ProjectionType": index.projection}
    if index.projection == "INCLUDE":
        projection["NonKeyAttributes"] = index.non_key
    counted = count.indexes.get(index.space)
    out: dict[str, Any] = {
        "IndexName": index.name,
        "KeySchema": key_schema(index.key_schema),
        "Projection": projection,
        "IndexSizeBytes": counted.bytes if counted is not None else 0,
        "ItemCount": counted.items if counted is not None else 0,
        "IndexArn": f"{arn}/index/{index.name}",
    }
    if index.status == "DELETING":
        # As of tables that go (github.com/boto/boto/issues/2978).
        del out["KeySchema"], out["Projection"]
    if not index.local:
        out["IndexStatus"] = "CREATING" if status == "CREATING" else index.status
        if index.status == "CREATING":
            out["Backfilling"] = index.backfilling
        out["ProvisionedThroughput"] = _throughput(index.throughput, now)
        out["WarmThroughput"] = _warm(index.warm, billing, index.throughput)
        if index.on_demand is not None:
            out["OnDemandThroughput"] = index.on_demand
    return out
