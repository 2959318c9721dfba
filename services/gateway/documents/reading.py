"""From a file or a text to a model."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from services.gateway.documents.complaints import (
    Complaint,
    DocumentError,
    Location,
    UnreadableError,
    field_name,
)
from services.gateway.documents.sections import Document
from services.gateway.documents.strict_yaml import MAX_CHARACTERS, Reading, read_yaml
from services.gateway.documents.wording import location_of, sentence

# Enough for as many characters as the YAML reader takes, and an end to reading what has none.
_MAX_BYTES = 4 * MAX_CHARACTERS

Model = TypeVar("Model", bound=BaseModel)


def read_document(path: Path, model: type[Model]) -> Model:
    """The validated content of the file at `path`. Raises `DocumentError`, of it `UnreadableError`."""
    return parse_document(read_text(path), model, str(path))


def parse_document(text: str, model: type[Model], source: str = "document") -> Model:
    """The validated content of `text`; errors call it `source`. Raises `DocumentError` with every mistake."""
    reading = read_yaml(text)
    found: Model | None = None
    mistakes: list[tuple[Location, str]] = []
    if reading.content is not None or not reading.complaints:
        try:
            found = model.model_validate(reading.content)
        except ValidationError as error:
            mistakes = [
                (location_of(item["loc"]), sentence(item, model))
                for item in error.errors(include_url=False, include_context=True)
            ]
        if issubclass(model, Document):
            mistakes += model.contradictions(reading.content)
    complaints = reading.complaints + _placed(mistakes, reading)
    if found is None or complaints:
        raise DocumentError(source, complaints)
    return found


def read_text(path: Path) -> str:
    """What is in a file of UTF-8. Raises `DocumentError`, of it `UnreadableError`."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableError(str(path), error.strerror or type(error).__name__) from error
    return decoded(data, str(path))


def decoded(data: bytes, source: str) -> str:
    """The text of UTF-8. Raises `DocumentError`."""
    if len(data) > _MAX_BYTES:
        raise DocumentError(source, [Complaint(1, 1, "the document", f"is longer than {_MAX_BYTES} bytes")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].split(b"\n")
        complaint = Complaint(len(before), len(before[-1]) + 1, "the document", "is not UTF-8")
        raise DocumentError(source, [complaint]) from error


def _placed(mistakes: list[tuple[Location, str]], reading: Reading) -> list[Complaint]:
    """The mistakes with their places, without those that only follow from what the YAML reader refused."""
    told_fields = {complaint.field for complaint in reading.complaints}
    told_places = {(complaint.line, complaint.column) for complaint in reading.complaints}
    return [
        Complaint(*place, field_name(location), text)
        for location, text in mistakes
        if (place := reading.position(location)) not in told_places
        and field_name(location) not in told_fields
    ]
