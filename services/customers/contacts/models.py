"""The contacts table."""

from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from services.customers.models import Base
from shared.database.tables import Record, search_index, sort_index, text_expression
from shared.resources.search import search_vector

_ADDRESSES = "jsonb_path_query_array(emails, '$[*].address')::text"
_NUMBERS = "jsonb_path_query_array(phones, '$[*].number')::text"
# A number is found by its groups as they were typed and by its digits in one piece.
_DIGITS = f"translate({_NUMBERS}, ' ()-./', '')"
SEARCH = search_vector("given_name", "family_name", _ADDRESSES, _NUMBERS, _DIGITS)


class Contact(Record, Base):
    """A person that the business knows, usually at an account."""

    __tablename__ = "contacts"

    given_name: Mapped[str | None]
    family_name: Mapped[str | None]
    emails: Mapped[list[Any]] = mapped_column(server_default=text("'[]'"))
    phones: Mapped[list[Any]] = mapped_column(server_default=text("'[]'"))
    account_id: Mapped[UUID | None]
    title: Mapped[str | None]
    department: Mapped[str | None]
    city: Mapped[str | None]
    country: Mapped[str | None]
    locale: Mapped[str | None]
    time_zone: Mapped[str | None]

    @classmethod
    def own_indexes(cls) -> tuple[Any, ...]:
        """As few as serve the usual questions: contacts arrive by the million, and each index slows that down.

        Addresses and numbers are found through the search index (`ElementFilter`).
        """
        return (
            sort_index("contacts", text_expression("lower(family_name)"), name="family_name"),
            sort_index("contacts", "account_id"),
            search_index("contacts", SEARCH),
            ForeignKeyConstraint(["tenant_id", "account_id"], ["accounts.tenant_id", "accounts.id"]),
        )
