"""The tickets service: what people ask for help with, and what was done about it."""

from pathlib import Path

from services.tickets.comments.resource import COMMENTS
from services.tickets.events.resource import EVENTS
from services.tickets.events.service import keep_history_partitions
from services.tickets.models import Base, Import
from services.tickets.settings import TicketsSettings
from services.tickets.tickets.imports import TICKET_IMPORT
from services.tickets.tickets.resource import TICKETS
from shared.imports.wiring import with_imports
from shared.service.definition import Service

SERVICE = with_imports(
    Service(
        name="tickets",
        title="Kontor tickets",
        summary="Tickets, the comments on them, and the history of every change.",
        settings=TicketsSettings,
        metadata=Base.metadata,
        migrations=Path(__file__).parent / "migrations",
        resources=(TICKETS, COMMENTS, EVENTS),
        jobs=(keep_history_partitions,),
    ),
    Import,
    {"tickets": TICKET_IMPORT},
)
