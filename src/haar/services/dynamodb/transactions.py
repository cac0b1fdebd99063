"""TransactWriteItems and TransactGetItems."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, NoReturn, TypeVar

import msgspec
import orjson

from haar.services.dynamodb import access, errors, items, records, writes
from haar.services.dynamodb.capacity import Consumed, read_units, shown_all, wanted
from haar.services.dynamodb.collections import collection_metrics
from haar.services.dynamodb.face import service
from haar.services.dynamodb.images import SIZE_BYTES, Image, Key, size_of, values_of
from haar.services.dynamodb.limits import TOKEN_SECONDS, TRANSACTION_BYTES
from haar.services.dynamodb.prepare import CALLED, PREPARED, gradually, transact_get, transact_write
from haar.services.dynamodb.tables import EMPTY_KEY, Table, Tables
from haar.services.dynamodb.throughput import Throughput
from haar.services.dynamodb.values import item_size
from haar.services.dynamodb.writes import Outcome, Write
from haar.services.service import Context, Demand, Host, Input, Output
from haar.store.contract import Transaction
from haar.store.errors import StoreBusy
from haar.wire.errors import ServiceError

T = TypeVar("T")

NO_REASON = {"Code": "None"}
TOO_LARGE = "Aggregate size of all items in the transaction cannot exceed 4 MB"
TWICE = "Transaction request cannot include multiple operations on one item"
UNITS = 2.0
"""A transaction reads or writes every item twice: to prepare and to commit."""
ACTIONS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}


class Action(NamedTuple):
    """One write of a transaction: what was asked, and the write or why it cannot be."""

    table: Table
    input: Input
    write: Write | None
    wrong: ServiceError | None


class Token(msgspec.Struct, array_like=True):
    digest: bytes
    at: float
    sizes: list[int] = []
    """What each action was charged by: asking once more costs reading as much. Empty in tokens of earlier versions."""


async def _write_demands(ctx: Context, input: Input) -> Sequence[Demand]:
    await gradually(ctx, input, transact_write(input))
    groups: dict[tuple[str, str], list[Input]] = {}
    for given in input["TransactItems"]:
        kind = next(name for name in ACTIONS if given.get(name) is not None)
        action = given[kind]
        groups.setdefault((ACTIONS[kind], access.named(ctx, action)), []).append(action)
    return await _demands(ctx, input, groups)


async def _get_demands(ctx: Context, input: Input) -> Sequence[Demand]:
    await gradually(ctx, input, transact_get(input))
    groups: dict[tuple[str, str], list[Input]] = {}
    for given in input["TransactItems"]:
        get = given["Get"]
        groups.setdefault(("GetItem", access.named(ctx, get)), []).append(get)
    return await _demands(ctx, input, groups)


async def _demands(ctx: Context, input: Input, groups: dict[tuple[str, str], list[Input]]) -> Sequence[Demand]:
    """One demand for each action on each table; its condition keys are those of all its items."""
    demands = []
    for (action, name), inputs in groups.items():

        def conditions(table: Table | None, inputs: list[Input] = inputs) -> dict[str, Sequence[str]]:
            merged: dict[str, Sequence[str]] = {}
            for each in inputs:
                for key, values in access.item_conditions(ctx, each, table, input).items():
                    merged[key] = sorted({*merged.get(key, ()), *values})
            return merged

        demands.append(await access.demand(ctx, action, name, conditions))
    return demands


@service.operation("TransactWriteItems", _write_demands)
async def transact_write_items(ctx: Context, input: Input) -> Output:
    return await commit(ctx, input, input["TransactItems"], _digest(input) if input.get("ClientRequestToken") is not None else b"")


async def commit(ctx: Context, input: Input, given: Sequence[dict[str, Any]], digest: bytes) -> Output:
    """Does all of the actions or none; `digest` says what is asked, for the ClientRequestToken."""
    token = input.get("ClientRequestToken")
    actions = [await _action(ctx, each) for each in given]
    _check_distinct([(each.table.space, each.write.key) for each in actions if each.write is not None])
    if sum(each.input[PREPARED].size or item_size(each.input.get("Key", {})) for each in actions) > TRANSACTION_BYTES:
        raise errors.validation(TOO_LARGE)
    now = ctx.now()
    rows = [row for each in actions if each.write is not None for row in each.write.rows]
    if token is not None:
        rows += [(records.TOKENS, _stretch(moment), _token_sort(ctx, token)) for moment in (now, now - TOKEN_SECONDS)]
    _check_throughput(ctx, [action.table for action in actions], reads=False)

    async def run(tx: Transaction) -> list[Outcome] | Token:
        await tx.ahead(rows)
        if token is not None and (seen := await _seen(tx, _token_sort(ctx, token), digest, now)) is not None:
            return seen
        outcomes, reasons = [], []
        for action in actions:
            outcome, reason = await _attempt(tx, action)
            reasons.append(reason)
            outcomes.append(outcome)
        if any(reason is not NO_REASON for reason in reasons):
            raise cancelled(reasons)
        if sum(outcome.new.size for outcome in outcomes if outcome is not None and outcome.new is not None) > TRANSACTION_BYTES:
            raise errors.validation(TOO_LARGE)
        done = [outcome for outcome in outcomes if outcome is not None]
        if token is not None:
            known = Token(digest, now, [outcome.size for outcome in done])
            tx.put(records.TOKENS, _stretch(now), _token_sort(ctx, token), msgspec.msgpack.encode(known))
        return done

    outcomes = await _unless_busy(ctx, run, len(actions))
    return await _write_output(ctx, input, actions, outcomes)


async def _unless_busy(ctx: Context, run: Callable[[Transaction], Awaitable[T]], actions: int) -> T:
    """Runs a transaction; one that others kept from committing is cancelled for a conflict, and may be tried again."""
    try:
        return await ctx.store.transact(run)
    except StoreBusy:
        raise cancelled([{"Code": "TransactionConflict", "Message": errors.CONFLICT}] * actions) from None


def _check_throughput(ctx: Context, tables: Sequence[Table], reads: bool) -> None:
    """Cancels a transaction when one of the tables that its actions are on has nothing left for it."""
    meter = ctx.host.get(Throughput)
    if not meter.enforced:
        return
    reasons = []
    for table in tables:
        try:
            if reads:
                meter.admit(table, reads=True)
            else:
                meter.admit_write(table)
            reasons.append(NO_REASON)
        except ServiceError as error:
            reasons.append(reason(error))
    if any(each is not NO_REASON for each in reasons):
        raise cancelled(reasons)


async def _action(ctx: Context, given: dict[str, Any]) -> Action:
    kind = next(name for name in ACTIONS if given.get(name) is not None)
    action = given[kind]
    table = await ctx.host.get(Tables).live(ctx.region, action["TableName"])
    make: Callable[[Table, Input], Write] = _MAKERS[kind]
    try:
        write = make(table, action)
    except ServiceError as error:
        return Action(table, action, None, error)
    # The outcome's sizes are what the transaction costs, and conditions of all actions are told apart by what is there.
    write.needs_old = True
    return Action(table, action, write, None)


def _check_write(table: Table, input: Input) -> Write:
    write = items.delete_write(table, input)
    write.change = _kept
    return write


def _kept(old: Image | None) -> Image | None:
    return old


_MAKERS: dict[str, Callable[[Table, Input], Write]] = {
    "Put": items.put_write,
    "Update": items.update_write,
    "Delete": items.delete_write,
    "ConditionCheck": _check_write,
}


async def _attempt(tx: Transaction, action: Action) -> tuple[Outcome | None, dict[str, Any]]:
    """One write, and the cancellation reason if it fails."""
    error = action.wrong
    if action.write is not None:
        try:
            return await writes.perform(tx, action.write), NO_REASON
        except ServiceError as failed:
            error = failed
    assert error is not None
    return None, reason(error)


_REASONS = {
    "ConditionalCheckFailedException": "ConditionalCheckFailed",
    "ValidationException": "ValidationError",
    "DuplicateItemException": "DuplicateItem",
    "ItemCollectionSizeLimitExceededException": "ItemCollectionSizeLimitExceeded",
    "ProvisionedThroughputExceededException": "ProvisionedThroughputExceeded",
    "ThrottlingException": "ThrottlingError",
}


def reason(error: ServiceError) -> dict[str, Any]:
    """A cancellation reason. Errors that no reason can tell are raised again."""
    code = _REASONS.get(error.code)
    if code is None or (error.message or "").startswith(EMPTY_KEY):
        raise error
    item = {"Item": error.fields["Item"]} if "Item" in error.fields else {}
    return {"Code": code, "Message": error.message, **item}


def cancelled(reasons: list[dict[str, Any]]) -> ServiceError:
    codes = ", ".join(each["Code"] for each in reasons)
    message = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    return ServiceError("TransactionCanceledException", message, CancellationReasons=reasons)


def _check_distinct(keys: list[tuple[str, Key]]) -> None:
    if len(set(keys)) != len(keys):
        raise errors.validation(TWICE)


async def _write_output(ctx: Context, input: Input, actions: list[Action], outcomes: list[Outcome] | Token) -> Output:
    output: dict[str, Any] = {}
    detail = wanted(input)
    meter = ctx.host.get(Throughput)
    if detail is not None or meter.enforced:
        consumed: dict[str, Consumed] = {}
        for at, action in enumerate(actions):
            write = action.write
            assert write is not None
            cost = consumed.setdefault(called(action.input), Consumed(action.table, transaction=True))
            if isinstance(outcomes, Token):
                cost.own += UNITS * read_units(outcomes.sizes[at] if outcomes.sizes else 0, consistent=True)
            else:
                cost.add_write(write.key, outcomes[at], UNITS)
        for cost in consumed.values():
            meter.spend(cost)
        if detail is not None:
            output["ConsumedCapacity"] = shown_all(consumed, detail)
    if input.get("ReturnItemCollectionMetrics") == "SIZE":
        metrics: dict[str, list[Any]] = {}
        for action in actions:
            assert action.write is not None
            item = action.input.get("Item") or action.input["Key"]
            found = await collection_metrics(ctx.store, action.table, action.write.key.partition, item)
            if found is not None and found not in metrics.setdefault(called(action.input), []):
                metrics[called(action.input)].append(found)
        output["ItemCollectionMetrics"] = {name: found for name, found in metrics.items() if found}
    return output


def called(action: Input) -> str:
    """How an action calls its table: by its name or by its ARN."""
    name: str = action.get(CALLED) or action["TableName"]
    return name


def _digest(input: Input) -> bytes:
    """What is asked, without what does not matter for being the same request."""

    def plain(value: Any) -> Any:
        raise TypeError

    asked = [
        {kind: {name: each for name, each in action.items() if name != PREPARED} for kind, action in given.items()}
        for given in input["TransactItems"]
    ]
    return hashlib.sha256(orjson.dumps(asked, default=plain, option=orjson.OPT_SORT_KEYS)).digest()


def _stretch(now: float) -> bytes:
    return int(now // TOKEN_SECONDS).to_bytes(8)


def _token_sort(ctx: Context, token: str) -> bytes:
    """Each operation has tokens of its own."""
    kind = "statements/" if ctx.operation == "ExecuteTransaction" else ""
    return f"{kind}{ctx.region}/{token}".encode()


async def _seen(tx: Transaction, sort: bytes, digest: bytes, now: float) -> Token | None:
    """What is known of this very request if it was done within the last ten minutes. Raises IdempotentParameterMismatchException."""
    for moment in (now, now - TOKEN_SECONDS):
        data = await tx.get(records.TOKENS, _stretch(moment), sort)
        if data is None:
            continue
        found = msgspec.msgpack.decode(data, type=Token)
        if now - found.at > TOKEN_SECONDS:
            return None
        if found.digest != digest:
            raise ServiceError(
                "IdempotentParameterMismatchException",
                "There was a mismatch in the parameters given in the request and the parameters given in the "
                "earlier request with the same client token.",
            )
        return found
    return None


@service.operation("TransactGetItems", _get_demands)
async def transact_get_items(ctx: Context, input: Input) -> Output:
    wants: list[tuple[Table, Key | None, Input]] = []
    reasons: list[dict[str, Any]] = []
    for given in input["TransactItems"]:
        get = given["Get"]
        table = await ctx.host.get(Tables).live(ctx.region, get["TableName"])
        key = None
        try:
            key = table.key(get["Key"])
            table.check_paths(get[PREPARED].nested)
            reasons.append(NO_REASON)
        except ServiceError as error:
            reasons.append(reason(error))
        wants.append((table, key, get))
    _check_distinct([(table.space, key) for table, key, _ in wants if key is not None])
    if any(each is not NO_REASON for each in reasons):
        raise cancelled(reasons)

    meter = ctx.host.get(Throughput)
    _check_throughput(ctx, [table for table, _, _ in wants], reads=True)

    async def run(tx: Transaction) -> list[bytes | None]:
        return await tx.get_many([(table.space, *key) for table, key, _ in wants if key is not None])

    found = await _unless_busy(ctx, run, len(wants))
    if sum(size_of(data) for data in found if data is not None) > TRANSACTION_BYTES:
        raise errors.validation("Aggregate size of all items retrieved by the transaction cannot exceed 4 MB")
    responses: list[dict[str, Any]] = []
    consumed: dict[str, Consumed] = {}
    for (table, _, get), data in zip(wants, found, strict=True):
        project = get[PREPARED].projection
        cost = consumed.setdefault(called(get), Consumed(table, transaction=True))
        cost.own += UNITS * read_units(0 if data is None else size_of(data), consistent=True)
        if data is None:
            responses.append({})
        elif project is None:
            responses.append({"Item": orjson.Fragment(data[SIZE_BYTES:])})
        else:
            # Other than GetItem, it tells nothing of an item that has nothing of what is asked for.
            item = project.project(values_of(data))
            responses.append({"Item": item} if item else {})
    for cost in consumed.values():
        meter.spend(cost)
    output: dict[str, Any] = {"Responses": responses}
    if (detail := wanted(input)) is not None:
        output["ConsumedCapacity"] = shown_all(consumed, detail)
    return output


async def run_forgetting(host: Host) -> NoReturn:
    """Forgets the tokens of transactions that are too old to be asked for."""
    while True:
        await host.store.clear(records.TOKENS, b"", _stretch(host.clock.now() - TOKEN_SECONDS))
        await asyncio.sleep(TOKEN_SECONDS / 2)
