"""Sales representatives as callers write and read them."""

from shared.fields import Email, Line, Word
from shared.resources.definition import RecordDocument, WritableDocument


class SalesRepIn(WritableDocument):
    """Someone who sells. `manager` is the name of whoever leads them."""

    name: Line
    email: Email | None = None
    team: Word | None = None
    manager: Line | None = None
    region: Word | None = None


class SalesRep(RecordDocument):
    """Someone who sells."""

    name: str
    email: str | None
    team: str | None
    manager: str | None
    region: str | None
