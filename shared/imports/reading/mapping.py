"""The mapping: by which a caller says what a file's columns mean.

{"resource": "deals",
 "key": {"source": "maven", "column": "opportunity_id"},
 "columns": {"product": {"from": "product", "map": {"GTXPro": "GTX Pro"}},
             "amount": {"from": "close_value", "currency": "USD"},
             "engaged_on": "engage_date"},
 "date_order": "ymd", "null": ["", "?"], "on_error": "skip"}
"""

from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from shared.fields import Key, ZoneName
from shared.imports.reading.dialect import Dialect, detect_delimiter
from shared.imports.reading.encoding import check_encoding
from shared.imports.reading.values import money

Name = Annotated[str, Field(min_length=1, max_length=300)]
Character = Annotated[str, Field(min_length=1, max_length=1, pattern=r"^[^\r\n\x00]$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class KeyMapping(_Part):
    """What identifies a record in the other system; importing the same key again changes the same record."""

    source: Key
    column: Name


class ColumnRule(_Part):
    """How one field is filled. Exactly one of `from` (a column, or several joined) and `constant`."""

    from_: Annotated[tuple[Name, ...] | None, Field(alias="from", max_length=20)] = None
    constant: str | None = None
    join: Annotated[str, Field(max_length=20)] = " "
    map: dict[str, str | None] = Field(default_factory=dict)
    """Texts and what they stand for; null empties the field."""
    default: str | None = None
    """What an empty field becomes."""
    trim: bool = False
    currency: Annotated[str | None, Field(pattern=r"^[A-Z]{3}$")] = None
    scale: Decimal = Decimal(1)
    """A money amount is multiplied by this, as where a file counts in millions."""

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        """`"name"` stands for `{"from": "name"}`, and one column for a list of one."""
        if isinstance(value, str):
            value = {"from": value}
        if isinstance(value, dict) and isinstance(value.get("from"), str):
            value = {**value, "from": [value["from"]]}
        return value

    @model_validator(mode="after")
    def _one_origin(self) -> "ColumnRule":
        if (self.from_ is None) == (self.constant is None):
            raise ValueError("takes exactly one of from and constant")
        if self.currency is not None:
            money(self.currency, self.scale)
        return self


class DialectRule(_Part):
    """What is known of the file's form; the delimiter is found by itself when it is not given."""

    delimiter: Character | None = None
    quote: Character | None = '"'
    """Null means that quotes are ordinary characters."""
    escape: Character | None = None
    header: bool = True
    """Without a header the columns are called 1, 2, 3 …"""

    def for_sample(self, sample: str) -> Dialect:
        """The dialect of a file that begins like this."""
        delimiter = self.delimiter or detect_delimiter(sample, self.quote, self.escape)
        return Dialect(delimiter, self.quote, self.escape)

    @model_validator(mode="after")
    def _distinct(self) -> "DialectRule":
        given = [
            character for character in (self.delimiter, self.quote, self.escape) if character is not None
        ]
        if len(set(given)) != len(given):
            raise ValueError("delimiter, quote and escape must differ from one another")
        return self


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Mapping(_Part):
    """The whole document."""

    resource: Name
    key: KeyMapping
    columns: Annotated[dict[str, ColumnRule], Field(min_length=1, max_length=200)]
    date_order: Literal["ymd", "dmy", "mdy"] = "ymd"
    zone: ZoneName = "UTC"
    """The time zone of instants that carry no offset."""
    null: Annotated[tuple[str, ...], BeforeValidator(_one_or_many), Field(max_length=50)] = ("",)
    """Texts that mean "no value"."""
    on_error: Literal["skip", "abort"] = "skip"
    """Whether a bad row is left out, or undoes the whole import."""
    encoding: Annotated[str, Field(max_length=50), AfterValidator(check_encoding)] | None = None
    dialect: DialectRule = DialectRule()

    @property
    def zone_info(self) -> ZoneInfo:
        """The zone itself."""
        return ZoneInfo(self.zone)

    def used_columns(self) -> set[str]:
        """Every column of the file that the mapping names."""
        named = {name for rule in self.columns.values() for name in rule.from_ or ()}
        return named | {self.key.column}
