"""The pipelines table."""

from typing import Any

from sqlalchemy.orm import Mapped

from services.sales.models import Base
from shared.database.tables import Record, sort_index, text_expression, unique_index


class Pipeline(Record, Base):
    """The stages that a kind of deal goes through, in order.

    The stages live in their pipeline's row: they are read and replaced together, and the row's lock is what keeps
    a stage from vanishing while a deal moves into it.
    """

    __tablename__ = "pipelines"

    name: Mapped[str]
    stages: Mapped[list[Any]]

    @classmethod
    def own_indexes(cls) -> tuple[Any, ...]:
        """One name per tenant, whatever its case."""
        return (
            unique_index("pipelines", text_expression("lower(name)"), name="name"),
            sort_index("pipelines", text_expression("lower(name)"), name="name"),
        )
