"""The statements of the PostgreSQL store, and how its keys fit into an index.

An entry of PostgreSQL's index holds some 2,700 bytes, a key of ours may be longer. So the index has
- of a long partition, its first bytes and the digest of all of it (the whole is in the row): equality is exact, and the order
  of a scan is that of the first bytes;
- of a long sort key, its first bytes, then a digest of the rest to tell them apart. The rest is in the row, and where rows
  with a rest are met, the order is asked for with it.
"""

import hashlib
from typing import Any, NamedTuple

VERSION = 1
"""The version of the schema that this haar reads and writes."""
PARTITION_BYTES = 1100
SORT_BYTES = 1200
DIGEST_BYTES = 32
BEHIND_ALL = b"\xff" * (SORT_BYTES + 1)
"""Greater than every sort key in the table."""

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS haar_meta(name text PRIMARY KEY, value text NOT NULL)",
    """CREATE TABLE IF NOT EXISTS haar_rows(
        space text NOT NULL, partition bytea NOT NULL, sort bytea NOT NULL, digest bytea NOT NULL,
        rest bytea NOT NULL, whole bytea, value bytea NOT NULL, PRIMARY KEY(space, partition, sort, digest))""",
    "CREATE TABLE IF NOT EXISTS haar_watched(space text PRIMARY KEY)",
    """CREATE TABLE IF NOT EXISTS haar_changes(
        at timestamptz NOT NULL DEFAULT now(), token text NOT NULL, space text NOT NULL, PRIMARY KEY(at, token, space))""",
)

COLUMNS = "space, partition, sort, digest, rest, whole, value"
GET = "SELECT value FROM haar_rows WHERE space = $1 AND partition = $2 AND sort = $3 AND digest = $4"
PUT = f"""INSERT INTO haar_rows({COLUMNS}) VALUES($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT(space, partition, sort, digest) DO UPDATE SET value = excluded.value"""
DELETE = "DELETE FROM haar_rows WHERE space = $1 AND partition = $2 AND sort = $3 AND digest = $4"
GETS = """SELECT q.n, r.value
    FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::bytea[]) WITH ORDINALITY AS q(space, partition, sort, digest, n)
    JOIN haar_rows AS r ON r.space = q.space AND r.partition = q.partition AND r.sort = q.sort AND r.digest = q.digest"""
_WRITES = """gone AS (
        DELETE FROM haar_rows AS r USING unnest($8::text[], $9::bytea[], $10::bytea[], $11::bytea[]) AS d(space, partition, sort, digest)
        WHERE r.space = d.space AND r.partition = d.partition AND r.sort = d.sort AND r.digest = d.digest {condition}),
    told AS (INSERT INTO haar_changes(token, space) SELECT $12::text, c.space FROM unnest($13::text[]) AS c(space) WHERE true {condition}),
    kept AS (INSERT INTO haar_rows({columns})
        SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[])
        WHERE true {condition} ON CONFLICT(space, partition, sort, digest) DO UPDATE SET value = excluded.value)"""
_WRONG = """wrong AS (
    SELECT e.n FROM unnest(${0}::text[], ${1}::bytea[], ${2}::bytea[], ${3}::bytea[], ${4}::bytea[])
        WITH ORDINALITY AS e(space, partition, sort, digest, value, n)
    LEFT JOIN haar_rows AS r ON r.space = e.space AND r.partition = e.partition AND r.sort = e.sort AND r.digest = e.digest
    WHERE r.value IS DISTINCT FROM e.value
    UNION ALL SELECT -q.n FROM unnest(${5}::text[], ${6}::bytea[], ${7}::bytea[], ${8}::bytea[], ${9}::bigint[])
        WITH ORDINALITY AS q(space, partition, low, high, rows, n)
    WHERE q.rows <> (SELECT count(*) FROM haar_rows AS r
        WHERE r.space = q.space AND r.partition = q.partition AND r.sort >= q.low AND r.sort < q.high))"""
REPLACE = "UPDATE haar_rows SET value = $6 WHERE space = $1 AND partition = $2 AND sort = $3 AND digest = $4 AND value = $5 RETURNING 1"
REMOVE = "DELETE FROM haar_rows WHERE space = $1 AND partition = $2 AND sort = $3 AND digest = $4 AND value = $5 RETURNING 1"
CREATE = f"INSERT INTO haar_rows({COLUMNS}) VALUES($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING 1"
"""One row that is as expected becomes another: answers a row when it was."""
APPLY = f"WITH {_WRITES.format(columns=COLUMNS, condition='')} SELECT 1"
"""Puts ($1 to $7), deletions ($8 to $11) and what is told of them ($12, $13)."""
CHECK = f"WITH {_WRONG.format(*range(1, 11))} SELECT n FROM wrong"
"""Which of the expected rows (n) and ranges (-n) are not as they are expected: value null is no row; a range has a number of rows."""
APPLY_CHECKED = f"""WITH {_WRONG.format(*range(14, 24))},
    {_WRITES.format(columns=COLUMNS, condition="AND NOT EXISTS (SELECT 1 FROM wrong)")} SELECT n FROM wrong"""
"""As APPLY when all is as expected ($14 to $23); else answers as CHECK, and does nothing. All of it sees one state."""
CLEAR = """DELETE FROM haar_rows WHERE (space, partition, sort, digest) IN (
    SELECT space, partition, sort, digest FROM haar_rows WHERE {} ORDER BY partition, sort, digest LIMIT {})"""


class Place(NamedTuple):
    """Where a key is in the table."""

    partition: bytes
    sort: bytes
    digest: bytes
    rest: bytes
    whole: bytes | None


def place(partition: bytes, sort: bytes) -> Place:
    whole = None
    if len(partition) > PARTITION_BYTES:
        whole, partition = partition, fold(partition)
    rest = sort[SORT_BYTES:]
    return Place(partition, sort[:SORT_BYTES], hashlib.sha256(rest).digest() if rest else b"", rest, whole)


def fold(partition: bytes) -> bytes:
    """A partition as it is in the index."""
    if len(partition) <= PARTITION_BYTES:
        return partition
    return partition[: PARTITION_BYTES - DIGEST_BYTES] + hashlib.sha256(partition).digest()


def range_query(
    space: str, partition: bytes, start: bytes, end: bytes | None, reverse: bool, limit: int | None, exact: bool
) -> tuple[str, list[Any]]:
    """(statement, values) for rows of (sort, rest, value). Unless `exact`, rows that differ only in their rest are in no order."""
    values: list[Any] = [space, fold(partition), start[:SORT_BYTES]]
    if exact:
        values.append(start[SORT_BYTES:])
        statement = "(sort, rest) >= ($3, $4)"
        if end is not None:
            values += (end[:SORT_BYTES], end[SORT_BYTES:])
            statement += " AND (sort, rest) < ($5, $6) AND sort >= $3 AND sort <= $5"
    else:
        statement = "sort >= $3"
        if end is not None:
            values.append(end)
            statement += " AND sort < $4"
    down = " DESC" if reverse else ""
    statement += f" ORDER BY sort{down}, {'rest' if exact else 'digest'}{down}"
    if limit is not None:
        values.append(limit)
        statement += f" LIMIT ${len(values)}"
    return "SELECT sort, rest, value FROM haar_rows WHERE space = $1 AND partition = $2 AND " + statement, values


def scan_query(
    space: str, start: bytes, end: bytes | None, after: tuple[bytes, bytes] | None, limit: int, exact: bool
) -> tuple[str, list[Any]]:
    """(statement, values) for rows of (partition, whole, sort, rest, value); `exact` as in `range_query`."""
    values: list[Any] = [space]
    where = "space = $1"
    last = "rest" if exact else "digest"
    if after is not None and after[0] >= start:
        behind = place(*after)
        values += (behind.partition, behind.sort, behind.rest if exact else behind.digest)
        where += f" AND partition >= $2 AND (partition, sort, {last}) > ($2, $3, $4)"
    elif start:
        values.append(fold(start))
        where += " AND partition >= $2"
    if end is not None:
        values.append(fold(end))
        where += f" AND partition < ${len(values)}"
    values.append(limit)
    columns = "partition, whole, sort, rest, value"
    return f"SELECT {columns} FROM haar_rows WHERE {where} ORDER BY partition, sort, {last} LIMIT ${len(values)}", values


def clear_query(space: str, start: bytes, end: bytes | None, limit: int) -> tuple[str, list[Any]]:
    values: list[Any] = [space, fold(start)]
    where = "space = $1 AND partition >= $2"
    if end is not None:
        values.append(fold(end))
        where += " AND partition < $3"
    return CLEAR.format(where, limit), values
