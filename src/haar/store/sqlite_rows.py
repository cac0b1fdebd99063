"""The statements of the SQLite store. They run in the thread of the loop; what fails raises a StoreError."""

from pathlib import Path
from typing import Any

import apsw

from haar.store.contract import Row
from haar.store.errors import StoreClosed, StoreError
from haar.store.overlay import Overlay
from haar.store.sqlite_file import translate

GET = "SELECT value FROM rows WHERE space = ? AND partition = ? AND sort = ?"
PUT = "INSERT INTO rows VALUES(?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
DELETE = "DELETE FROM rows WHERE space = ? AND partition = ? AND sort = ?"
RANGE = "SELECT sort, value FROM rows WHERE space = ? AND partition = ? AND sort >= ?"
SCAN = "SELECT partition, sort, value FROM rows WHERE space = ?"
KEYS = "SELECT partition, sort, length(value) FROM rows WHERE space = ? AND partition >= ?"
DELETE_TO = "DELETE FROM rows WHERE space = ? AND partition >= ? AND (partition, sort) <= (?, ?)"

SLICE_ROWS = 250
"""Rows deleted in one go, ..."""
SLICE_BYTES = 1_000_000
"""... and bytes of theirs: about a millisecond of the loop's time."""


class Rows:
    """Rows by key, on one connection. Spaces are numbers in the table: their names would be in every row."""

    def __init__(self, connection: apsw.Connection, file: Path) -> None:
        self._connection = connection
        self._file = file
        # One cursor for all: every statement is read to its end before the next, which is also what ends its read transaction.
        self._execute = connection.cursor().execute
        self._spaces: dict[str, int] = {}

    def get(self, space: str, partition: bytes, sort: bytes) -> bytes | None:
        number = self._spaces.get(space)
        if number is None and (number := self._find(space)) is None:
            return None
        try:
            rows: list[Any] = self._execute(GET, (number, partition, sort)).fetchall()
        except apsw.Error as error:
            raise self._failure(error) from error
        return rows[0][0] if rows else None

    def range(
        self, space: str, partition: bytes, start: bytes, end: bytes | None, reverse: bool, limit: int | None
    ) -> list[tuple[bytes, bytes]]:
        number = self._find(space)
        if number is None:
            return []
        statement = RANGE
        values: list[Any] = [number, partition, start]
        if end is not None:
            statement += " AND sort < ?"
            values.append(end)
        statement += " ORDER BY sort DESC" if reverse else " ORDER BY sort"
        if limit is not None:
            statement += " LIMIT ?"
            values.append(limit)
        return self._all(statement, values)

    def scan(self, space: str, start: bytes, end: bytes | None, after: tuple[bytes, bytes] | None, limit: int) -> list[Row]:
        number = self._find(space)
        if number is None:
            return []
        statement = SCAN
        values: list[Any] = [number]
        if after is not None and after[0] >= start:
            statement += " AND (partition, sort) > (?, ?)"
            values += after
        elif start:
            statement += " AND partition >= ?"
            values.append(start)
        if end is not None:
            statement += " AND partition < ?"
            values.append(end)
        values.append(limit)
        return [Row._make(row) for row in self._all(statement + " ORDER BY partition, sort LIMIT ?", values)]

    def write(self, overlay: Overlay) -> None:
        """All of a transaction's writes; the caller rolls back when it raises."""
        if not self._connection.in_transaction:
            raise StoreError(f"{self._file}: an earlier error ended the transaction")
        execute = self._execute
        try:
            for space, rows in overlay.spaces.items():
                number = self._spaces.get(space)
                if number is None and (number := self._find(space)) is None:
                    execute("INSERT INTO spaces(name) VALUES(?)", (space,))
                    number = self._spaces[space] = self._connection.last_insert_rowid()
                for (partition, sort), value in rows.items():
                    if value is None:
                        execute(DELETE, (number, partition, sort))
                    else:
                        execute(PUT, (number, partition, sort, value))
        except apsw.Error as error:
            raise self._failure(error) from error

    def delete_slice(self, space: str, start: bytes, end: bytes | None) -> tuple[int, bool]:
        """Deletes the first rows with start <= partition < end; how many, and whether there may be more."""
        if not self._connection.in_transaction:
            raise StoreError(f"{self._file}: an earlier error ended the transaction")
        number = self._find(space)
        if number is None:
            return 0, False
        statement = KEYS
        values: list[Any] = [number, start]
        if end is not None:
            statement += " AND partition < ?"
            values.append(end)
        found = self._all(statement + " ORDER BY partition, sort LIMIT ?", [*values, SLICE_ROWS])
        count = size = 0
        for _, _, length in found:
            size += length
            count += 1
            if size > SLICE_BYTES:
                break
        if count:
            self._all(DELETE_TO, [number, start, *found[count - 1][:2]])
        return count, count < len(found) or count == SLICE_ROWS

    def version(self) -> int:
        """Moves with every commit of another connection."""
        return int(self._all("PRAGMA data_version")[0][0])

    def begin(self) -> None:
        """Raises StoreBusy while another process writes."""
        self._all("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._all("COMMIT")

    def rollback(self) -> None:
        # Numbers that spaces were given in this transaction are gone with it.
        self._spaces.clear()
        if self._connection.in_transaction:
            self._all("ROLLBACK")

    def _find(self, space: str) -> int | None:
        number = self._spaces.get(space)
        if number is None and (rows := self._all("SELECT id FROM spaces WHERE name = ?", [space])):
            number = self._spaces[space] = rows[0][0]
        return number

    def _all(self, statement: str, values: list[Any] | None = None) -> list[Any]:
        try:
            return self._execute(statement, values or ()).fetchall()
        except apsw.Error as error:
            raise self._failure(error) from error

    def _failure(self, error: apsw.Error) -> StoreError:
        if isinstance(error, (apsw.ConnectionClosedError, apsw.CursorClosedError)):
            return StoreClosed(f"{self._file}: the store is closed")
        return translate(error, self._file, self._connection.system_errno)
