"""What the models of documents have in common."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict

from services.gateway.documents.complaints import Location


class Section(BaseModel):
    """A mapping in a document: unknown fields are refused, and nothing is converted (`"8"` is no number)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Document(Section):
    """A whole document, whose parts may contradict one another."""

    @classmethod
    def contradictions(cls, content: Any) -> Iterable[tuple[Location, str]]:
        """Where parts of `content` contradict one another, and how.

        Called whether or not the content is otherwise in order, so that all mistakes are told at once:
        `content` is what the YAML says, of any shape.
        """
        return ()
