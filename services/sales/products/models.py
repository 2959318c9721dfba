"""The products table."""

from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Mapped, composite, mapped_column

from services.sales.models import Base
from shared.database.tables import Record, search_index, sort_index, text_expression, unique_index
from shared.fields import Money
from shared.resources.search import search_vector

SEARCH = search_vector("name", "series")


class Product(Record, Base):
    """Something that is sold."""

    __tablename__ = "products"

    name: Mapped[str]
    series: Mapped[str | None]
    list_price_amount: Mapped[Decimal | None]
    list_price_currency: Mapped[str | None]
    active: Mapped[bool] = mapped_column(default=True, server_default=text("true"))

    list_price: Mapped[Money | None] = composite("list_price_amount", "list_price_currency")

    @classmethod
    def own_indexes(cls) -> tuple[Any, ...]:
        """One name per tenant, whatever its case; sorts by name and price."""
        return (
            unique_index("products", text_expression("lower(name)"), name="name"),
            sort_index("products", text_expression("lower(name)"), name="name"),
            sort_index("products", "list_price_amount"),
            search_index("products", SEARCH),
        )
