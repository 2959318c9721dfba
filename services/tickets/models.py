"""The tables' common ground: one metadata for the tickets' database."""

from shared.database.tables import TypedBase, service_metadata
from shared.events.schema import add_event_log
from shared.idempotency import add_idempotency_table
from shared.imports.tables import ImportRecord, add_import_tables


class Base(TypedBase):
    """Every table of this service."""

    __abstract__ = True
    metadata = service_metadata()


add_event_log(Base.metadata)
add_idempotency_table(Base.metadata)
add_import_tables(Base.metadata)


class Import(ImportRecord, Base):
    """The import jobs of this service."""
