"""What is wrong with a document, and where."""

from collections.abc import Iterable
from dataclasses import dataclass

# Keys and list indexes from the document's root to a value.
Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Complaint:
    """One mistake; `line` and `column` count from 1, `field` is the dotted path of what it is about."""

    line: int
    column: int
    field: str
    text: str

    def __str__(self) -> str:
        return f"{self.line}:{self.column}: {self.field}: {self.text}"


class DocumentError(Exception):
    """A document that is no YAML or does not say what it must; the text has one line for each mistake."""

    def __init__(self, source: str, complaints: Iterable[Complaint]) -> None:
        self.complaints = tuple(sorted(set(complaints)))
        super().__init__("\n".join(f"{source}:{complaint}" for complaint in self.complaints))


class UnreadableError(DocumentError):
    """The file is not there or cannot be read."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, ())
        self.args = (f"{source}: {reason}",)


def field_name(location: Location) -> str:
    """`routes[0].upstream`."""
    name = ""
    for part in location:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    return name or "the document"
