"""From a batch of records to the staged columns of a plan, and the rows that do not fit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.imports.plan import Plan
from shared.imports.reading import values
from shared.imports.reading.errors import FileError, RowError, shown
from shared.imports.reading.mapping import ColumnRule
from shared.imports.reading.records import Batch
from shared.imports.target import ImportField

Column = list[str | None]
_MAX_KEY_LENGTH = 255
KEY = 2
"""Which of the staged columns holds the keys."""


@dataclass(frozen=True)
class Staged:
    """What is copied into the staging table: row and line numbers, keys, and the fields in the plan's order."""

    columns: list[Column]
    errors: list[RowError]

    @property
    def rows(self) -> int:
        """How many rows are good so far."""
        return len(self.columns[0])


class BatchConverter:
    """Converts the batches of one file."""

    def __init__(self, plan: Plan, header: Sequence[str]) -> None:
        self._positions = {name: position for position, name in enumerate(header)}
        missing = sorted(plan.mapping.used_columns() - self._positions.keys())
        if missing:
            listed = ", ".join(header)
            raise FileError(f"The file has no column {', '.join(missing)}; it has {listed}.")
        self._plan = plan
        self._nulls = frozenset(plan.mapping.null)
        self._key = self._positions[plan.mapping.key.column]
        self._fields = [(name, plan.target.fields[name], plan.mapping.columns[name]) for name in plan.fields]
        self._converters = {
            name: values.Converter(_convert(field, rule, plan), f"invalid_{field.kind}")
            for name, field, rule in self._fields
        }

    def no_columns(self) -> list[Column]:
        """The staged columns without any row."""
        return [[] for _ in range(3 + len(self._fields))]

    def convert(self, batch: Batch) -> Staged:
        """The batch's good rows as staged columns; a row with any error is left out whole."""
        if not batch.rows:
            return Staged(self.no_columns(), list(batch.errors))
        texts = batch.rows.columns
        errors = list(batch.errors)
        keys: Column = list(texts[self._key])
        bad = self._check_keys(keys, batch, errors)
        columns: list[Column] = [[str(n) for n in batch.numbers], [str(n) for n in batch.lines], keys]
        for name, field, rule in self._fields:
            column, refusals = self._converters[name](self._texts(texts, rule))
            columns.append(column)
            label = (rule.from_ or (name,))[0]
            for position, refusal in refusals:
                bad.add(position)
                value = texts[self._positions[label]][position] if label in self._positions else rule.constant
                errors.append(_error(batch, position, label, refusal.code, refusal.reason, value))
            if field.required:
                for position in (i for i, value in enumerate(column) if value is None or not value.strip()):
                    if position not in bad:
                        bad.add(position)
                        errors.append(_error(batch, position, label, "required", "must not be empty", None))
        if bad:
            columns = [[v for i, v in enumerate(column) if i not in bad] for column in columns]
        return Staged(columns, errors)

    def _check_keys(self, keys: Column, batch: Batch, errors: list[RowError]) -> set[int]:
        column = self._plan.mapping.key.column
        bad = {i for i, key in enumerate(keys) if not key or key in self._nulls or len(key) > _MAX_KEY_LENGTH}
        for position in bad:
            key = keys[position]
            too_long = key is not None and len(key) > _MAX_KEY_LENGTH
            reason = (
                f"is longer than {_MAX_KEY_LENGTH} characters"
                if too_long
                else "must not be empty: it is the key"
            )
            errors.append(_error(batch, position, column, "invalid_key", reason, key))
        return bad

    def _texts(self, texts: Sequence[Sequence[str]], rule: ColumnRule) -> Sequence[str | None]:
        """The field's texts before conversion: joined, trimmed, emptied, mapped, defaulted."""
        if rule.from_ is None:
            return [rule.constant] * len(texts[0])
        nulls = self._nulls
        picked: Sequence[str | None]
        if len(rule.from_) == 1:
            picked = texts[self._positions[rule.from_[0]]]
        else:
            parts = zip(*(texts[self._positions[name]] for name in rule.from_), strict=True)
            picked = [rule.join.join(part for part in row if part not in nulls) for row in parts]
        if rule.trim:
            picked = [text.strip() if text is not None else None for text in picked]
        picked = [None if text in nulls else text for text in picked]
        if rule.map:
            renamed = rule.map
            picked = [renamed.get(text, text) if text is not None else None for text in picked]
        if rule.default is not None:
            picked = [rule.default if text is None else text for text in picked]
        return picked


def _convert(field: ImportField, rule: ColumnRule, plan: Plan) -> values.Convert:
    mapping = plan.mapping
    makers: dict[str, Callable[[], values.Convert]] = {
        "text": lambda: values.text(field.max_length),
        "integer": lambda: values.integer(field.minimum, field.maximum),
        "decimal": lambda: values.decimal,
        "boolean": lambda: values.boolean,
        "date": lambda: values.plain_date(mapping.date_order),
        "instant": lambda: values.instant(mapping.date_order, mapping.zone_info),
        "email": lambda: values.email,
        "id": lambda: values.record_id,
        "locale": lambda: values.locale,
        "zone": lambda: values.zone,
        "money": lambda: values.money(rule.currency or "", rule.scale),
        "choice": lambda: values.choice(field.choices),
    }
    return makers[field.kind]()


def _error(batch: Batch, position: int, column: str, code: str, reason: str, value: str | None) -> RowError:
    return RowError(batch.numbers[position], batch.lines[position], column, code, reason, shown(value))
