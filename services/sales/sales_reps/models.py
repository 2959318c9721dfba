"""The sales representatives' table."""

from typing import Any

from sqlalchemy.orm import Mapped

from services.sales.models import Base
from shared.database.tables import Record, search_index, sort_index, text_expression
from shared.resources.search import search_vector

SEARCH = search_vector("name", "email", "team", "manager")


class SalesRep(Record, Base):
    """Someone who sells.

    `manager` is a name: who manages is often no representative, and then has no record here to point at.
    """

    __tablename__ = "sales_reps"

    name: Mapped[str]
    email: Mapped[str | None]
    team: Mapped[str | None]
    manager: Mapped[str | None]
    region: Mapped[str | None]

    @classmethod
    def own_indexes(cls) -> tuple[Any, ...]:
        """A tenant has few representatives: only the sort and the search have an index."""
        return (
            sort_index("sales_reps", text_expression("lower(name)"), name="name"),
            search_index("sales_reps", SEARCH),
        )
