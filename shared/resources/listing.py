"""From a query string to a typed question: limit, cursor, filters, sort, search, fields, includes, count.

Whatever is unknown or of the wrong type is a 400 that names it. Nothing is ignored.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from shared.problems import Problem, bad_query
from shared.resources.definition import Resource
from shared.resources.filters import OPERATORS
from shared.resources.search import prefix_query

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_QUERY_LENGTH = 200
_FILTER = re.compile(r"filter\[(\w+)\](?:\[(\w+)\])?\Z", re.ASCII)
_DELETED = "deleted"
_COUNTS = ("exact", "estimated")


@dataclass(frozen=True)
class Condition:
    """One filter: `value` is already of the type that PostgreSQL takes."""

    field: str
    operator: str
    value: Any


@dataclass(frozen=True)
class Selection:
    """Which members are answered: `fields` of the record and `includes` beside them."""

    fields: tuple[str, ...]
    includes: tuple[str, ...] = ()
    whole: bool = True
    """Whether this is the plain representation, to which the record's version alone is a strong validator."""


@dataclass(frozen=True)
class ListQuestion:
    """Everything that a list's answer depends on, but for the tenant and the time."""

    selection: Selection
    conditions: tuple[Condition, ...]
    sort: str
    descending: bool
    words: str | None
    searched: bool
    deleted: bool
    limit: int
    cursor: str | None
    count: str | None

    @property
    def fingerprint(self) -> str:
        """What may not change from one page to the next."""
        return repr((self.conditions, self.sort, self.descending, self.words, self.searched, self.deleted))


class QueryReader:
    """Reads query strings for one resource."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource

    def question(self, pairs: Iterable[tuple[str, str]]) -> ListQuestion:
        """The question of a list. Raises a 400 `Problem` naming the parameter."""
        plain, conditions = self._split(pairs)
        sort, descending = self._sort(plain.pop("sort", self._resource.default_sort))
        text = plain.pop("q", None)
        if text is not None and self._resource.search is None:
            raise _unknown("q")
        if text is not None and len(text) > MAX_QUERY_LENGTH:
            raise bad_query("q", "too_long", f"q takes at most {MAX_QUERY_LENGTH} characters.")
        deleted = conditions.pop(_DELETED, None)
        question = ListQuestion(
            selection=self._selection(plain),
            conditions=tuple(conditions.values()),
            sort=sort,
            descending=descending,
            words=prefix_query(text) if text is not None else None,
            searched=bool(text),
            deleted=bool(deleted and deleted.value),
            limit=_limit(plain.pop("limit", None)),
            cursor=plain.pop("cursor", None),
            count=_count(plain.pop("count", None)),
        )
        _refuse_unknown(plain)
        return question

    def selection(self, pairs: Iterable[tuple[str, str]]) -> Selection:
        """The question of a single record. Raises a 400 `Problem` naming the parameter."""
        plain, conditions = self._split(pairs)
        if conditions:
            raise bad_query("filter", "unknown_parameter", "A single record is not filtered.")
        chosen = self._selection(plain)
        _refuse_unknown(plain)
        return chosen

    def _split(self, pairs: Iterable[tuple[str, str]]) -> tuple[dict[str, str], dict[Any, Condition]]:
        plain: dict[str, str] = {}
        conditions: dict[Any, Condition] = {}
        for name, text in pairs:
            condition = self._condition(name, text)
            key: Any = name
            if condition is not None:
                key = _DELETED if condition.field == _DELETED else (condition.field, condition.operator)
            if key in plain or key in conditions:
                raise bad_query(name, "repeated_parameter", f"{name} is given twice.")
            if condition is not None:
                conditions[key] = condition
            else:
                plain[name] = text
        return plain, conditions

    def _condition(self, name: str, text: str) -> Condition | None:
        if not name.startswith("filter"):
            return None
        match = _FILTER.match(name)
        if match is None:
            raise bad_query(
                name, "malformed_filter", "Filters are written filter[field] or filter[field][operator]."
            )
        field, operator = match[1], match[2] or "eq"
        if field == _DELETED and operator == "eq" and "delete" in self._resource.operations:
            return Condition(field, operator, _deleted(name, text))
        declared = self._resource.filters.get(field)
        if declared is None:
            known = ", ".join(self._resource.filters)
            raise bad_query(name, "unknown_field", f"There is no filter on {field}. Filters: {known}.")
        if operator not in declared.operators:
            what = "not offered here" if operator in OPERATORS else "unknown"
            offered = ", ".join(declared.operators)
            raise bad_query(
                name, "unknown_operator", f"The operator {operator} is {what}. {field} takes {offered}."
            )
        try:
            return Condition(field, operator, declared.value(operator, text))
        except ValueError as error:
            raise bad_query(name, "invalid_value", f"{field} {error}.") from None

    def _sort(self, text: str) -> tuple[str, bool]:
        name = text.removeprefix("-")
        if name not in self._resource.sorts:
            known = ", ".join(self._resource.sorts)
            raise bad_query(
                "sort", "unknown_sort", f"Cannot sort by {name}. One of {known}, with - for descending."
            )
        return name, text.startswith("-")

    def _selection(self, plain: dict[str, str]) -> Selection:
        fields, includes = plain.pop("fields", None), plain.pop("include", None)
        chosen = (
            _names("fields", fields, self._resource.fields) if fields is not None else self._resource.fields
        )
        included = _names("include", includes, tuple(self._resource.includes)) if includes is not None else ()
        return Selection(chosen, included, whole=fields is None and includes is None)


def _names(parameter: str, text: str, known: Sequence[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in known:
            listed = ", ".join(known) or "none"
            raise bad_query(
                parameter, f"unknown_{parameter}", f"{parameter} does not know {name!a}. Known: {listed}."
            )
    return names


def _deleted(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise bad_query(name, "invalid_value", "deleted must be true or false.")
    return text == "true"


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= MAX_LIMIT):
        raise bad_query("limit", "invalid_value", f"limit must be a whole number from 1 to {MAX_LIMIT}.")
    return int(text)


def _count(text: str | None) -> str | None:
    if text is not None and text not in _COUNTS:
        raise bad_query("count", "invalid_value", f"count must be one of {', '.join(_COUNTS)}.")
    return text


def _refuse_unknown(plain: dict[str, str]) -> None:
    for name in plain:
        raise _unknown(name)


def _unknown(name: str) -> Problem:
    return bad_query(name, "unknown_parameter", f"There is no parameter {name!a} here.")
