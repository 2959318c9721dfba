"""What can be imported into a resource: its fields, and the SQL that a feature adds around the merge.

The generic merge does for every resource what its API does for one record: create or change by external id, leave
what is equal untouched, count both. What a feature's rules do beyond that is set-based SQL here.

SQL sees the staged rows as the table `staged s`: `new_id` (of the record that the row may make), `row`, `line`, `key`,
`superseded` (a later row has the same key), one text column per field (NULL where the file does not map it), and one
id column per looked-up reference. The table `mapped (field)` holds the fields that the file maps.
Parameters: `$1` the tenant, `$2` the key's source, `$3` the principal. A record is looked up by `live_record`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from shared.resources.definition import Resource

FieldKind = Literal[
    "text",
    "integer",
    "decimal",
    "boolean",
    "date",
    "instant",
    "email",
    "id",
    "locale",
    "zone",
    "money",
    "choice",
]


@dataclass(frozen=True)
class ImportField:
    """One field of a mapping.

    `column` is the table's column, or None for a field that only the feature's SQL uses. `sql` makes the column's value
    of the staged text (`s.<name>`); by default it is cast to the column's type.
    """

    kind: FieldKind = "text"
    column: str | None = None
    sql: str | None = None
    required: bool = False
    max_length: int = 300
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None


@dataclass(frozen=True)
class Lookup:
    """A reference by something else than our id: `field` is looked up and becomes the id in `column`.

    `select` yields `(value, id)`; `stored` is false for an id that only other SQL uses.
    """

    field: str
    column: str
    noun: str
    select: str
    stored: bool = True


@dataclass(frozen=True)
class Check:
    """A condition of the staged row `s` that makes it an error of this field."""

    field: str
    code: str
    reason: str
    condition: str


@dataclass(frozen=True)
class Derived:
    """A column made of several fields; written when the file maps any of them."""

    column: str
    fields: tuple[str, ...]
    sql: str


@dataclass(frozen=True)
class ImportTarget:
    """How a resource is imported.

    `defaults` are the columns that a new record needs and no field fills, as SQL; they never change an old record.
    `before` and `after` run around the merge in its transaction; `after` sees the temporary table
    `merged (id, key, created)` of the records that changed. `sequence` names the field (and its column) that orders
    several rows of one key: the largest wins, in whatever order the rows and the files come. `independent` says that
    batches without a common key have nothing to do with each other, so that two may be merged at once: no unique key
    but the external id, and nothing in `before` or `after` that looks at other rows. `together` names the fields that
    speak of other rows of the file, wherever those are: a file that maps one of them is merged as one, in one
    transaction, as is one with a `sequence`.
    """

    resource: Resource
    fields: Mapping[str, ImportField]
    lookups: tuple[Lookup, ...] = ()
    derived: tuple[Derived, ...] = ()
    checks: tuple[Check, ...] = ()
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    sequence: str | None = None
    independent: bool = False
    together: tuple[str, ...] = ()


def live_record(table: str, key: str, *, lock: str = "") -> str:
    """SQL of a subquery for LATERAL: the live record of this table with the external id `key` (SQL too), if any.

    `lock` is a locking clause such as `FOR UPDATE`. OFFSET 0 keeps the planner from joining a whole tenant instead of
    looking up key by key; that it then takes the index of the external id is the business of `merging`'s settings.
    """
    return (
        f"SELECT * FROM {table} WHERE tenant_id = $1::uuid AND source = $2::text AND external_id = {key} "  # noqa: S608 (our own text)
        f"AND deleted_at IS NULL OFFSET 0 {lock}"
    )
