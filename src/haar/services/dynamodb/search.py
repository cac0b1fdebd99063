"""SearchVectors: the items whose vectors are nearest to one, found by comparing it with each.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/VectorSearchWorkingWith.html
"""

import asyncio
import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from operator import mul
from struct import Struct
from typing import Any, NamedTuple

import orjson

from haar.services.dynamodb import errors, keys, values
from haar.services.dynamodb.access import demand, named
from haar.services.dynamodb.capacity import wanted
from haar.services.dynamodb.expressions.conditions import Call, Logic, Node, PathNode, ValueNode
from haar.services.dynamodb.expressions.projections import Compiled as Projection
from haar.services.dynamodb.expressions.scope import Scope
from haar.services.dynamodb.face import service
from haar.services.dynamodb.limits import KB, READ_CHUNK_MOST, SEARCH_BYTES, TOP_K
from haar.services.dynamodb.numbers import normalise
from haar.services.dynamodb.prepare import PREPARED
from haar.services.dynamodb.tables import FLOAT_BYTES, Tables, VectorIndex, wrong_element
from haar.services.dynamodb.values import Item, Value, kind_of
from haar.services.service import Context, Demand, Input, Output

EXPRESSION = "SearchConditionExpression"
_FLOAT = Struct("<f")
FIRST_ROWS = 10
READ_BYTES = 256 * KB
"""About as much of an index is read at once."""
COMPARED_AT_ONCE = 16_384
"""Numbers that are compared in the loop's thread; more are compared in a helper's."""
Floats = Sequence[float]
Score = Callable[[Floats], float]


class Search(NamedTuple):
    """What a request asks, as far as that is known without its index."""

    vector: Floats
    conditions: Mapping[str, Value]
    """The values that attributes must have."""
    projection: Projection | None


def _cosine(wanted: Floats) -> Score:
    length = math.sqrt(sum(map(mul, wanted, wanted)))

    def score(numbers: Floats) -> float:
        lengths = length * math.sqrt(sum(map(mul, numbers, numbers)))
        return 1.0 if not lengths else min(2.0, max(0.0, 1.0 - sum(map(mul, wanted, numbers)) / lengths))

    return score


def _euclidean(wanted: Floats) -> Score:
    return lambda numbers: math.dist(wanted, numbers)


def _dot_product(wanted: Floats) -> Score:
    return lambda numbers: sum(map(mul, wanted, numbers), 0.0)


SCORES: Mapping[str, Callable[[Floats], Score]] = {"COSINE": _cosine, "EUCLIDEAN": _euclidean, "DOT_PRODUCT": _dot_product}
"""By distance function: from the vector that is searched for to the scores of others."""


async def _demands(ctx: Context, input: Input) -> Sequence[Demand]:
    """On the index; what is asked for is no condition key."""
    input[PREPARED] = prepared(input)
    return (await demand(ctx, "SearchVectors", named(ctx, input), index=input["IndexName"]),)


def prepared(input: Input) -> Search:
    """Raises ValidationException for a request that is wrong in itself."""
    if input["TopK"] > TOP_K:
        raise errors.validation(
            f"Provided TopK value '{input['TopK']}' is out of valid range. The value must be between 1 and {TOP_K} inclusive"
        )
    scope = Scope(input)
    conditions: dict[str, Value] = {}
    if (text := input.get(EXPRESSION)) is not None:
        compiled = scope.compiled(EXPRESSION, text)
        compiled.check(scope.values)
        _equalities(compiled.root, scope.values, conditions)
    projection = None
    if input.get("ProjectionExpression") is not None:
        projection = scope.projection(input["ProjectionExpression"])
    scope.finish()
    for at, element in enumerate(input["SearchVector"]):
        values.check(element)
        if (wrong := wrong_element(f"SearchVector[{at}]", element)) is not None:
            raise errors.in_our_words(errors.INVALID + wrong)
    return Search(_rounded(input["SearchVector"]), conditions, projection)


def _equalities(node: Node, given: Mapping[str, Value], found: dict[str, Value]) -> None:
    """Attributes and their values, of a condition that is nothing but equalities that all must hold."""
    if isinstance(node, Logic) and node.operator == "AND":
        for each in node.operands:
            _equalities(each, given, found)
        return
    operands = node.operands if isinstance(node, Call) and node.operator == "=" else ()
    paths = [each.path for each in operands if isinstance(each, PathNode)]
    names = [each.name for each in operands if isinstance(each, ValueNode)]
    if len(paths) != 1 or len(names) != 1:
        raise _wrong("Invalid comparator used in SearchConditionExpression")
    ((head, *rest),) = paths
    if rest:
        raise _wrong("Only top-level attributes can be used in SearchConditionExpression", ours=True)
    if head in found:
        raise _wrong(f"SearchConditionExpression must only contain one condition per attribute: {head}", ours=True)
    found[str(head)] = given[names[0]]


def _wrong(why: str, ours: bool = False) -> Exception:
    return (errors.in_our_words if ours else errors.validation)(f"Invalid {EXPRESSION}: {why}")


def _rounded(elements: Sequence[Value]) -> Floats:
    """Numbers as an index keeps them: with 32 bits."""
    packed = Struct(f"<{len(elements)}f")
    return packed.unpack(packed.pack(*[float(element["N"]) for element in elements]))


@service.operation("SearchVectors", _demands)
async def search_vectors(ctx: Context, input: Input) -> Output:
    search: Search = input[PREPARED]
    table = await ctx.host.get(Tables).live(ctx.region, input["TableName"])
    index = table.index.get(input["IndexName"])
    if index is None or not index.maintained:
        raise errors.validation(f"The table does not have the specified index: {input['IndexName']}")
    if not isinstance(index, VectorIndex):
        raise errors.in_our_words("SearchVectors operation not supported on this index type.")
    if index.record.status == "CREATING":
        raise errors.validation(f"Cannot search backfilling vector index: {index.name}")
    if len(search.vector) != index.vector.dimensions:
        raise errors.validation(
            f"Input search vector dimension {len(search.vector)} does not match vector index dimension {index.vector.dimensions}"
        )
    _check_conditions(index, search.conditions)
    found, examined = await _nearest(ctx, index, search, input["TopK"])
    results = [{"Item": _shown(index, search, entry), "Score": score} for score, entry in found]
    if len(orjson.dumps(results)) > SEARCH_BYTES:
        raise errors.in_our_words("The search results exceed the limit of 16 MB; ask for less of fewer items")
    output: dict[str, Any] = {"SearchResults": results}
    if wanted(input) is not None:
        output["ConsumedCapacity"] = {"VectorSearchRequestBytes": float(max(KB, examined * FLOAT_BYTES * index.vector.dimensions))}
    return output


def _check_conditions(index: VectorIndex, conditions: Mapping[str, Value]) -> None:
    if any(part.name not in conditions for part in index.hashes):
        raise errors.validation("SearchConditionExpression must be provided when SearchSchema has a HASH key")
    types = {part.name: part.kind for part in (*index.hashes, *index.filters)}
    for name, value in conditions.items():
        if name not in types:
            raise _wrong(f"Attribute is not in the SearchSchema: {name}", ours=True)
        if types[name] not in value:
            raise _wrong(f"Type mismatch for {name}, Expected: {types[name]}, Actual: {kind_of(value)}", ours=True)


def _shown(index: VectorIndex, search: Search, entry: bytes) -> Item:
    """The vector itself only when it is asked for; what is not projected is not there."""
    item = index.item(entry)
    if search.projection is None:
        return item
    if index.vector.attribute in search.projection.heads:
        item[index.vector.attribute] = {"L": [{"N": normalise(_shortest(number))} for number in index.numbers(entry)]}
    return search.projection.project(item)


def _shortest(number: float) -> str:
    """The fewest digits that mean this number of 32 bits."""
    return next(text for digits in range(6, 10) if _FLOAT.pack(float(text := f"{number:.{digits}g}")) == _FLOAT.pack(number))


async def _nearest(ctx: Context, index: VectorIndex, search: Search, most: int) -> tuple[list[tuple[float, bytes]], int]:
    """The best scores and their entries, the best first; how many vectors were compared."""
    partition = keys.partition(index.hashes, dict(search.conditions))
    filters = [(part.name, search.conditions[part.name]) for part in index.filters if part.name in search.conditions]
    score = SCORES[index.vector.distance](search.vector)
    sign = -1.0 if index.vector.distance == "DOT_PRODUCT" else 1.0

    def kept(entry: bytes) -> bool:
        item = index.item(entry)
        return all(item.get(name) == value for name, value in filters)

    def compare(entries: Sequence[bytes]) -> list[tuple[float, bytes]]:
        return [(score(index.numbers(entry)), entry) for entry in entries if not filters or kept(entry)]

    best: list[tuple[float, bytes]] = []
    examined, start, rows_at_once = 0, b"", FIRST_ROWS
    while True:
        rows = await ctx.store.range(index.space, partition, start, limit=rows_at_once)
        entries = [value for _, value in rows]
        if len(entries) * index.vector.dimensions > COMPARED_AT_ONCE:
            scored = await asyncio.to_thread(compare, entries)
        else:
            scored = compare(entries)
        examined += len(scored)
        best = heapq.nsmallest(most, best + scored, key=lambda found: sign * found[0])
        if len(rows) < rows_at_once:
            return best, examined
        start = rows[-1][0] + b"\0"
        await asyncio.sleep(0)  # lets others in: there may be many
        rows_at_once = max(1, min(READ_CHUNK_MOST, READ_BYTES * len(rows) // sum(map(len, entries))))
