"""The rules of a table's schema: keys, attribute definitions, indexes, throughput, tags."""

from collections.abc import Sequence
from typing import Any

from haar.clock import Ids
from haar.services.dynamodb import errors
from haar.services.dynamodb.limits import (
    GLOBAL_INDEXES,
    INDEX_KEY_ATTRIBUTES,
    KEY_ATTRIBUTE_NAME_BYTES,
    LOCAL_INDEXES,
    MOST_TOLD,
    PROJECTED_ATTRIBUTES,
    TAGS,
)
from haar.services.dynamodb.records import IndexRecord, Throughput

SPACE_LETTERS = 12
MOST_UNITS = 1_000_000_000_000
ON_DEMAND_READS = 12_000
ON_DEMAND_WRITES = 4_000
"""What a new on-demand table can take in a second."""
_CEILINGS = ("MaxReadRequestUnits", "MaxWriteRequestUnits")
Schema = list[tuple[str, str]]


def key_schema(given: Sequence[dict[str, str]]) -> Schema:
    return [(element["AttributeName"], element["KeyType"]) for element in given]


def definitions(given: Sequence[dict[str, str]]) -> dict[str, str]:
    """Types by attribute. Raises ValidationException for attributes that are defined twice."""
    found: dict[str, str] = {}
    for each in given:
        if each["AttributeName"] in found:
            raise errors.validation(f"Attribute Name is duplicated: {each['AttributeName']}")
        found[each["AttributeName"]] = each["AttributeType"]
    return found


def check_billing(billing: str, throughput: dict[str, Any] | None) -> None:
    """BillingMode and ProvisionedThroughput go together."""
    if billing == "PAY_PER_REQUEST":
        if throughput is not None:
            raise errors.invalid("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
        return
    if throughput is None:
        raise errors.invalid("ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
    check_units(throughput)


def check_units(throughput: dict[str, Any]) -> None:
    for name in ("ReadCapacityUnits", "WriteCapacityUnits"):
        if throughput[name] > MOST_UNITS:
            raise errors.validation(f"Given value {throughput[name]} for {name} is out of bounds")


def ceilings(given: dict[str, int] | None, what: str, billing: str, create: bool) -> dict[str, int]:
    """OnDemandThroughput, -1 for what shall have no ceiling. Raises ValidationException beside provisioned throughput.

    `what` is `table` or `index: NAME`.
    """
    found = {name: units for name, units in (given or {}).items() if units is not None}
    for name in _CEILINGS:
        if name not in found:
            continue
        if billing == "PROVISIONED":
            where = "table BillingMode is PROVISIONED." if create else "the table BillingMode is PROVISIONED"
            raise errors.invalid(f"{name} for OnDemandThroughput cannot be specified when {where}")
        if found[name] < 1 and not (found[name] == -1 and not create):
            raise errors.invalid(f"Requested {name} for OnDemandThroughput for {what} is outside of valid range")
    return found


def check_warm(given: dict[str, int] | None, floor: dict[str, int], what: str) -> None:
    """Warm throughput only rises."""
    for name, least in floor.items():
        if given is not None and given.get(name) is not None and given[name] < least:
            raise errors.invalid(
                f"Requested {name} for WarmThroughput for {what} is lower than current WarmThroughput, "
                "decreasing WarmThroughput is not supported"
            )


def warm_units(warm: dict[str, int] | None, billing: str, throughput: Throughput) -> dict[str, int]:
    """What a table or index can take at once: at least AWS's starting values for on-demand tables, or what is provisioned."""
    on_demand = billing == "PAY_PER_REQUEST"
    least = {
        "ReadUnitsPerSecond": ON_DEMAND_READS if on_demand else throughput.read,
        "WriteUnitsPerSecond": ON_DEMAND_WRITES if on_demand else throughput.write,
    }
    return {name: max(units, (warm or {}).get(name) or 0) for name, units in least.items()}


def check_table_keys(schema: Schema, defined: dict[str, str]) -> None:
    _check_two(schema, "keySchema")
    if len(schema) > len(defined):
        raise errors.validation("Invalid KeySchema: Some index key attribute have no definition")
    _check_defined(schema, defined)
    _check_order(schema)
    for name, _ in schema:
        _check_key_name(name)


def _check_two(schema: Schema, where: str) -> None:
    """Only global indexes have keys of more attributes than two."""
    if len(schema) > 2:
        shown = ", ".join(f"KeySchemaElement(attributeName={name}, keyType={kind})" for name, kind in schema[:MOST_TOLD])
        raise errors.validation(
            f"1 validation error detected: Value '[{shown}]' at '{where}' failed to satisfy constraint: "
            "Member must have length less than or equal to 2"
        )


def _check_defined(schema: Schema, defined: dict[str, str]) -> None:
    names = [name for name, _ in schema]
    if any(name not in defined for name in names):
        raise errors.invalid(f"Some index key attributes are not defined in AttributeDefinitions. {_shown(names, defined)}")


def _shown(names: Sequence[str], defined: dict[str, str]) -> str:
    return f"Keys: [{', '.join(names)}], AttributeDefinitions: [{', '.join(defined)}]"


def _check_order(schema: Schema) -> None:
    if len(schema) == 2 and schema[0][0] == schema[1][0]:
        raise errors.validation("Both the Hash Key and the Range Key element in the KeySchema have the same name")
    if schema[0][1] != "HASH":
        raise errors.validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    if len(schema) == 2 and schema[1][1] != "RANGE":
        raise errors.validation("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")


def _check_key_name(name: str) -> None:
    if len(name.encode()) > KEY_ATTRIBUTE_NAME_BYTES:
        raise errors.validation(
            f"1 validation error detected: Value '{name}' at 'keySchema.1.member.attributeName' failed to satisfy constraint: "
            "Member must have length less than or equal to 255"
        )


def _check_index_keys(schema: Schema, defined: dict[str, str]) -> None:
    """A global index may have several partition and several sort attributes."""
    _check_defined(schema, defined)
    if len(schema) <= 2 and not (len(schema) == 2 and schema[0][1] == schema[1][1] == "HASH"):
        _check_order(schema)
        return
    kinds = [kind for _, kind in schema]
    if kinds[0] != "HASH":
        raise errors.validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    if sorted(kinds) != kinds:
        raise errors.in_our_words("Invalid KeySchema: All HASH key elements must precede RANGE key elements")
    for kind in ("HASH", "RANGE"):
        if kinds.count(kind) > INDEX_KEY_ATTRIBUTES:
            raise errors.in_our_words(f"Invalid KeySchema: An index can have at most {INDEX_KEY_ATTRIBUTES} {kind} key elements")
    if len({name for name, _ in schema}) != len(schema):
        raise errors.in_our_words("Invalid KeySchema: KeySchema elements must have distinct attribute names")


def check_used(defined: dict[str, str], schemas: Sequence[Schema], indexed: bool) -> None:
    """Every attribute definition has to be the key of something."""
    used = {name for schema in schemas for name, _ in schema}
    if set(defined) - used:
        if not indexed:
            raise errors.invalid(
                "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions"
            )
        raise errors.invalid(
            f"Some AttributeDefinitions are not used. AttributeDefinitions: [{', '.join(defined)}], keys used: [{', '.join(sorted(used))}]"
        )


def projection(given: dict[str, Any]) -> tuple[str, list[str]]:
    """ProjectionType and NonKeyAttributes. Raises ValidationException when they do not go together."""
    kind, attributes = given.get("ProjectionType"), given.get("NonKeyAttributes")
    if kind is None:
        raise errors.invalid("Unknown ProjectionType: null")
    if attributes is not None and kind != "INCLUDE":
        raise errors.invalid(f"ProjectionType is {kind}, but NonKeyAttributes is specified")
    if attributes is None and kind == "INCLUDE":
        raise errors.invalid("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
    return kind, list(attributes or [])


def local_indexes(given: Sequence[dict[str, Any]], schema: Schema, defined: dict[str, str], taken: set[str], ids: Ids) -> list[IndexRecord]:
    if not given:
        raise errors.invalid("List of LocalSecondaryIndexes is empty")
    if len(schema) != 2:
        raise errors.invalid("Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex")
    made = []
    for at, index in enumerate(given[: LOCAL_INDEXES + 1], 1):
        name, keys = index["IndexName"], key_schema(index["KeySchema"])
        _check_two(keys, f"localSecondaryIndexes.{at}.member.keySchema")
        _check_defined(keys, defined)
        _check_order(keys)
        if len(keys) != 2:
            raise errors.invalid(f"Index KeySchema does not have a range key for index: {name}")
        if keys[0][0] != schema[0][0]:
            raise errors.invalid(
                f"Index KeySchema does not have the same leading hash key as table KeySchema for index: {name}. "
                f"index hash key: {keys[0][0]}, table hash key: {schema[0][0]}"
            )
        kind, attributes = projection(index["Projection"])
        take(name, taken)
        made.append(IndexRecord(name, space(ids), True, keys, kind, attributes))
    if len(given) > LOCAL_INDEXES:
        raise errors.invalid(f"Number of LocalSecondaryIndexes exceeds per-table limit of {LOCAL_INDEXES}")
    return made


def global_indexes(given: Sequence[dict[str, Any]], defined: dict[str, str], billing: str, taken: set[str], ids: Ids) -> list[IndexRecord]:
    if not given:
        raise errors.invalid("List of GlobalSecondaryIndexes is empty")
    made = [global_index(index, defined, billing, taken, ids) for index in given[: GLOBAL_INDEXES + 1]]
    if len(given) > GLOBAL_INDEXES:
        raise errors.invalid(f"GlobalSecondaryIndex count exceeds the per-table limit of {GLOBAL_INDEXES}")
    return made


def global_index(index: dict[str, Any], defined: dict[str, str], billing: str, taken: set[str], ids: Ids) -> IndexRecord:
    name, keys = index["IndexName"], key_schema(index["KeySchema"])
    _check_index_keys(keys, defined)
    kind, attributes = projection(index["Projection"])
    throughput = index.get("ProvisionedThroughput")
    if billing == "PAY_PER_REQUEST" and throughput is not None:
        raise errors.invalid(f"ProvisionedThroughput should not be specified for index: {name} when BillingMode is PAY_PER_REQUEST")
    if billing == "PROVISIONED" and throughput is None:
        raise errors.invalid(f"ProvisionedThroughput is not specified for index: {name}")
    if throughput is not None:
        check_units(throughput)
    on_demand = ceilings(index.get("OnDemandThroughput"), f"index: {name}", billing, create=True)
    check_warm(index.get("WarmThroughput"), warm_units(None, billing, units(throughput)), f"index: {name}")
    take(name, taken)
    return IndexRecord(
        name,
        space(ids),
        False,
        keys,
        kind,
        attributes,
        throughput=units(throughput),
        on_demand=on_demand or None,
        warm=index.get("WarmThroughput"),
    )


def take(name: str, taken: set[str]) -> None:
    """Notes an index's name. Raises ValidationException when another index of the table has it."""
    if name in taken:
        raise errors.invalid(f"Duplicate index name: {name}")
    taken.add(name)


def space(ids: Ids) -> str:
    """A fresh space for an index."""
    return "di:" + ids.text(SPACE_LETTERS)


def units(throughput: dict[str, Any] | None) -> Throughput:
    return Throughput() if throughput is None else Throughput(throughput["ReadCapacityUnits"], throughput["WriteCapacityUnits"])


def collections_space(indexes: Sequence[IndexRecord], ids: Ids) -> str:
    """Where the sizes of a new table's item collections are kept, if it is to have such."""
    return "dl:" + ids.text(SPACE_LETTERS) if any(index.local for index in indexes) else ""


def check_projected(indexes: Sequence[IndexRecord]) -> None:
    total = sum(len(index.non_key) for index in indexes if index.vector is None)
    if total > PROJECTED_ATTRIBUTES:
        raise errors.in_our_words(
            f"{errors.INVALID}The total number of projected attributes of all indexes exceeds the limit of {PROJECTED_ATTRIBUTES}"
        )


def tags(given: Sequence[dict[str, str]] | None) -> dict[str, str]:
    """Tags by key. Raises ValidationException for keys that are given twice or reserved, and too many."""
    found: dict[str, str] = {}
    for tag in given or ():
        key = tag["Key"]
        if key in found:
            raise errors.in_our_words(f"{errors.INVALID}Duplicate tag key: {key}")
        if key.lower().startswith("aws:"):
            raise errors.in_our_words("Tag keys starting with aws: are reserved for system use")
        found[key] = tag["Value"]
    if len(found) > TAGS:
        raise errors.in_our_words(f"{errors.INVALID}Too many tags: {len(found)}, maximum: {TAGS}")
    return found
