"""Documents that people write: YAML (or JSON) into a model, or every mistake with its place.

    DocumentError             what is wrong, one line per mistake: gateway.yaml:14:7: limits.colour: unknown field
    └── UnreadableError       the file could not be read at all

What is peculiar about the YAML that is taken here stands in `strict_yaml`.
"""

from services.gateway.documents.complaints import Complaint, DocumentError, Location, UnreadableError
from services.gateway.documents.reading import parse_document, read_document
from services.gateway.documents.sections import Document, Section

__all__ = [
    "Complaint",
    "Document",
    "DocumentError",
    "Location",
    "Section",
    "UnreadableError",
    "parse_document",
    "read_document",
]
