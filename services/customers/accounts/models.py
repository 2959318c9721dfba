"""The accounts table."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint
from sqlalchemy.orm import Mapped, composite

from services.customers.models import Base
from shared.database.tables import Record, search_index, sort_index, text_expression
from shared.fields import Money
from shared.resources.search import search_vector

SEARCH = search_vector("name", "domain", "city")


class Account(Record, Base):
    """An organisation that the business sells to or serves."""

    __tablename__ = "accounts"

    name: Mapped[str]
    domain: Mapped[str | None]
    sector: Mapped[str | None]
    year_established: Mapped[int | None]
    employees: Mapped[int | None]
    annual_revenue_amount: Mapped[Decimal | None]
    annual_revenue_currency: Mapped[str | None]
    country: Mapped[str | None]
    city: Mapped[str | None]
    parent_id: Mapped[UUID | None]
    description: Mapped[str | None]

    annual_revenue: Mapped[Money | None] = composite("annual_revenue_amount", "annual_revenue_currency")

    @classmethod
    def own_indexes(cls) -> tuple[Any, ...]:
        """Sorts, look-ups, search, and the parent of the same tenant."""
        return (
            sort_index("accounts", text_expression("lower(name)"), name="name"),
            sort_index("accounts", "employees"),
            sort_index("accounts", "annual_revenue_amount"),
            sort_index("accounts", "parent_id"),
            sort_index("accounts", text_expression("lower(domain)"), name="domain"),
            search_index("accounts", SEARCH),
            ForeignKeyConstraint(["tenant_id", "parent_id"], ["accounts.tenant_id", "accounts.id"]),
        )
