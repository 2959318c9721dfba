"""The tables' common ground: one metadata for the sales database."""

from shared.database.tables import TypedBase, service_metadata
from shared.idempotency import add_idempotency_table


class Base(TypedBase):
    """Every table of this service."""

    __abstract__ = True
    metadata = service_metadata()


add_idempotency_table(Base.metadata)
