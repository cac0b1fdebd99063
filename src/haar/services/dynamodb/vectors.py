"""Vector indexes: the rules of their schema, and how they look from outside.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/VectorSearchWorkingWith.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

from haar.clock import Ids
from haar.services.dynamodb import errors, schema
from haar.services.dynamodb.counts import Count
from haar.services.dynamodb.limits import DIMENSIONS, INLINE_FILTERS, VECTOR_INDEXES
from haar.services.dynamodb.records import IndexRecord, Vector

TOO_MANY = f"VectorIndex count exceeds the per-table limit of {VECTOR_INDEXES}"
ON_DEMAND_ONLY = "Vector indexes are supported only when BillingMode is PAY_PER_REQUEST"


def vector_indexes(
    given: Sequence[dict[str, Any]], table: Sequence[str], defined: Mapping[str, str], billing: str, taken: set[str], ids: Ids
) -> list[IndexRecord]:
    """The vector indexes of a new table whose keys are `table`. Raises ValidationException."""
    if not given:
        raise errors.in_our_words(errors.INVALID + "List of VectorIndexes is empty")
    if len(given) > VECTOR_INDEXES:
        raise errors.invalid(TOO_MANY)
    made: list[IndexRecord] = []
    for each in given:
        made.append(vector_index(each, table, defined, billing, made, ids))
        schema.take(each["IndexName"], taken)
    return made


def vector_index(
    given: dict[str, Any], table: Sequence[str], defined: Mapping[str, str], billing: str, others: Sequence[IndexRecord], ids: Ids
) -> IndexRecord:
    """One index beside `others` of its table. Raises ValidationException."""
    if billing != "PAY_PER_REQUEST":
        raise errors.in_our_words(errors.INVALID + ON_DEMAND_ONLY)
    search = [(each["AttributeName"], each["SearchSchemaElementType"]) for each in given.get("SearchSchema") or ()]
    _check_search(search, defined)
    kind, attributes = schema.projection(given["Projection"])
    made = Vector(given["VectorAttribute"]["AttributeName"], given["Dimensions"], given["DistanceFunction"])
    if made.dimensions > DIMENSIONS:
        raise errors.in_our_words(f"{errors.INVALID}Dimensions of vector index {given['IndexName']} exceed the limit of {DIMENSIONS}")
    if made.attribute in (*table, *(name for name, _ in search)):
        raise errors.in_our_words(f"{errors.INVALID}Vector attribute {made.attribute} cannot be a key or in the SearchSchema")
    for other in others:
        if other.vector is not None and other.vector.attribute == made.attribute and other.vector.dimensions != made.dimensions:
            raise errors.in_our_words(
                f"{errors.INVALID}Vector indexes on the same attribute must have the same dimensions: {made.attribute}"
            )
    return IndexRecord(given["IndexName"], schema.space(ids), False, search, kind, attributes, vector=made)


def _check_search(search: schema.Schema, defined: Mapping[str, str]) -> None:
    if any(name not in defined for name, _ in search):
        raise errors.invalid("One element in SearchSchema is not defined in attribute definitions")
    if len({name for name, _ in search}) != len(search):
        raise errors.in_our_words(errors.INVALID + "SearchSchema elements must have distinct attribute names")
    for kind, most in (("HASH", 1), ("INLINE_FILTER", INLINE_FILTERS)):
        if sum(each == kind for _, each in search) > most:
            raise errors.in_our_words(f"{errors.INVALID}SearchSchema can have at most {most} {kind} elements")


def configured(index: IndexRecord) -> dict[str, Any]:
    """A vector index as it was asked for."""
    assert index.vector is not None
    projection: dict[str, Any] = {"ProjectionType": index.projection}
    if index.projection == "INCLUDE":
        projection["NonKeyAttributes"] = index.non_key
    out: dict[str, Any] = {
        "IndexName": index.name,
        "VectorAttribute": {"AttributeName": index.vector.attribute},
        "Projection": projection,
        "Dimensions": index.vector.dimensions,
        "DistanceFunction": index.vector.distance,
    }
    if index.key_schema:
        out["SearchSchema"] = [{"AttributeName": name, "SearchSchemaElementType": kind} for name, kind in index.key_schema]
    return out


def described(index: IndexRecord, arn: str, count: Count | None, status: str) -> dict[str, Any]:
    """VectorIndexDescription; `arn` and `status` are the table's."""
    out = configured(index)
    out["IndexStatus"] = "CREATING" if status == "CREATING" else index.status
    if index.status == "CREATING":
        out["Backfilling"] = index.backfilling
    out["IndexSizeBytes"] = 0 if count is None else count.bytes
    out["ItemCount"] = 0 if count is None else count.items
    out["IndexArn"] = f"{arn}/index/{index.name}"
    return out
