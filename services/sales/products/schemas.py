"""Products as callers write and read them."""

from shared.fields import Line, Money, Word
from shared.resources.definition import RecordDocument, WritableDocument


class ProductIn(WritableDocument):
    """Something that is sold. No two live products of a tenant share a name, whatever its case."""

    name: Line
    series: Word | None = None
    list_price: Money | None = None
    active: bool = True


class Product(RecordDocument):
    """Something that is sold. What is not `active` is no longer offered, and stays on the deals that have it."""

    name: str
    series: str | None
    list_price: Money | None
    active: bool
