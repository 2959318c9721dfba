"""The SQL of a batch: staged text becomes typed rows, references are looked up, and one statement merges them all.

The merge does what the API does for one record: a row whose external id is new makes a record, one that differs
changes it and raises its version, one that is equal leaves it alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import inspect
from sqlalchemy.dialects import postgresql

from shared.imports.target import ImportField, ImportTarget, Lookup
from shared.resources.representation import quoted

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
_FIXED = ("new_id", "row", "line", "key")


@dataclass(frozen=True)
class Fault:
    """What makes a staged row an error: a condition over `staged s`, and what is said of it."""

    field: str
    code: str
    reason: str
    condition: str


class MergeStatements:
    """The statements of one import: `target` says what is possible, `mapped` which fields this file fills."""

    def __init__(self, target: ImportTarget, mapped: Iterable[str]) -> None:
        self._target = target
        self._table = quoted(target.resource.table)
        self._mapped = tuple(mapped)
        self._lookups = tuple(lookup for lookup in target.lookups if lookup.field in self._mapped)

    @property
    def copied_columns(self) -> list[str]:
        """What is copied in, in order."""
        return [*_FIXED, *self._mapped]

    def create_tables(self) -> list[str]:
        """Tables of this connection only; nothing of them reaches the write-ahead log."""
        fields = ", ".join(f"'{name}'" for name in self._mapped)
        columns = ["new_id uuid", "row bigint", "line bigint", "key text"]
        columns += ["superseded boolean NOT NULL DEFAULT false"]
        columns += [f"{quoted(name)} text" for name in self._target.fields]
        columns += [f"{quoted(lookup.column)} uuid" for lookup in self._target.lookups]
        return [
            f"CREATE TEMPORARY TABLE staged ({', '.join(columns)})",
            "CREATE TEMPORARY TABLE merged (id uuid, key text, created boolean)",
            f"CREATE TEMPORARY TABLE mapped AS SELECT unnest(ARRAY[{fields}]) AS field",
        ]

    def analyze(self) -> str:
        """Counts the rows, and looks at the columns that joins and conditions are about; the others only cost time."""
        names = ["key", *(lookup.field for lookup in self._lookups)]
        if self._target.sequence is not None:
            names.append(self._target.sequence)
        return f"ANALYZE staged ({', '.join(quoted(name) for name in names)})"

    def supersede(self) -> str:
        """Of several rows with one key only one counts: the last, or the one that is last in the sequence."""
        order = "row DESC"
        if self._target.sequence in self._mapped:
            order = f"{quoted(self._target.sequence)}::bigint DESC NULLS LAST, {order}"
        ranked = f"SELECT row, row_number() OVER (PARTITION BY key ORDER BY {order}) AS rank FROM staged"
        return f"UPDATE staged s SET superseded = true FROM ({ranked}) r WHERE r.row = s.row AND r.rank > 1"

    def look_up(self) -> list[str]:
        """Fills each reference's id."""
        return [
            f"UPDATE staged s SET {quoted(lookup.column)} = found.id FROM ({lookup.select}) found (value, id) "
            f"WHERE found.value = s.{quoted(lookup.field)}"
            for lookup in self._lookups
        ]

    def faults(self) -> list[Fault]:
        """What is checked in SQL before the merge."""
        unknown = [
            Fault(lookup.field, "unknown_reference", f"there is no such {lookup.noun}", _unmatched(lookup))
            for lookup in self._lookups
        ]
        checks = [
            Fault(check.field, check.code, check.reason, check.condition)
            for check in self._target.checks
            if check.field in (*self._mapped, "key")
        ]
        return unknown + checks

    def take_out(self, fault: Fault) -> str:
        """Removes the rows that a fault is about and returns them as `(row, line, value)`."""
        return (
            f"DELETE FROM staged s WHERE {fault.condition} RETURNING s.row, s.line, s.{quoted(fault.field)}"
        )

    def create(self) -> str:
        """Creates; fails when a key is known. Leaves `merged` empty if nothing more is to be done with the records."""
        if not self._target.after:
            return self._insert()
        return f"""
            WITH done AS ({self._insert()} RETURNING id, external_id, true)
            INSERT INTO merged SELECT * FROM done
        """

    def merge(self) -> str:
        """Creates and changes; leaves in `merged` what was touched."""
        values = self._values()
        changed = f"({_columns('t', values)}) IS DISTINCT FROM ({_columns('excluded', values)})"
        return f"""
            WITH done AS (
                {self._insert()}
                ON CONFLICT (tenant_id, source, external_id) WHERE deleted_at IS NULL DO UPDATE
                SET {_assignments(values)}, version = t.version + 1, updated_at = now()
                WHERE {changed}{self._not_older()}
                RETURNING t.id, t.external_id, t.version = 1
            )
            INSERT INTO merged SELECT * FROM done
        """

    def _insert(self) -> str:
        written = {**self._values(), **self._defaults()}
        names = ", ".join(quoted(name) for name in written)
        return f"""
            INSERT INTO {self._table} AS t (tenant_id, id, source, external_id, version, {names})
            SELECT $1::uuid, s.new_id, $2::text, s.key, 1, {", ".join(written.values())}
            FROM staged s WHERE NOT s.superseded ORDER BY s.row
        """

    def _not_older(self) -> str:
        sequence = self._target.sequence
        if sequence is None or sequence not in self._mapped:
            return ""
        column = quoted(self._target.fields[sequence].column or sequence)
        return f" AND (t.{column} IS NULL OR excluded.{column} >= t.{column})"

    def _values(self) -> dict[str, str]:
        """Each column that the merge writes, with its SQL over the staged row `s`."""
        values: dict[str, str] = {}
        for name in self._mapped:
            values |= self._field_values(name, self._target.fields[name])
        for derived in self._target.derived:
            if set(derived.fields) & set(self._mapped):
                values[derived.column] = derived.sql
        stored = (lookup.column for lookup in self._lookups if lookup.stored)
        return values | {column: f"s.{quoted(column)}" for column in stored}

    def _defaults(self) -> dict[str, str]:
        written = self._values()
        return {column: sql for column, sql in self._target.defaults.items() if column not in written}

    def _field_values(self, name: str, field: ImportField) -> Mapping[str, str]:
        staged = f"s.{quoted(name)}"
        if field.column is None:
            return {}
        if field.kind == "money":
            return {
                f"{field.column}_amount": f"split_part({staged}, ' ', 1)::numeric",
                f"{field.column}_currency": f"split_part({staged}, ' ', 2)",
            }
        if field.sql is not None:
            return {field.column: field.sql}
        return {field.column: f"{staged}::{self._sql_type(field.column)}"}

    def _sql_type(self, column: str) -> str:
        columns = inspect(self._target.resource.record_model).columns
        return str(columns[column].type.compile(_DIALECT))


def _unmatched(lookup: Lookup) -> str:
    return f"s.{quoted(lookup.field)} IS NOT NULL AND s.{quoted(lookup.column)} IS NULL"


def _assignments(values: Iterable[str]) -> str:
    return ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in values)


def _columns(table: str, values: Iterable[str]) -> str:
    return ", ".join(f"{table}.{quoted(name)}" for name in values)
