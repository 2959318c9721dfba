"""The tickets service: what people ask for help with, and what was done about it."""

from functools import partial
from pathlib import Path

from services.tickets.comments.resource import COMMENTS
from services.tickets.events.resource import EVENTS
from services.tickets.events.service import keep_history_partitions
from services.tickets.models import Base, Import
from services.tickets.settings import TicketsSettings
from services.tickets.tickets.imports import TICKET_IMPORT
from services.tickets.tickets.resource import TICKETS
from shared.imports.reading.mapping import Mapping
from shared.imports.resource import imports_resource
from shared.imports.routes import imports_router
from shared.imports.schemas import ImportJob
from shared.imports.worker import import_job
from shared.service.definition import Service

IMPORTS = imports_resource("tickets", Import)
IMPORTABLE = {"tickets": TICKET_IMPORT}

SERVICE = Service(
    name="tickets",
    title="Kontor tickets",
    summary="Tickets, the comments on them, and the history of every change.",
    settings=TicketsSettings,
    metadata=Base.metadata,
    migrations=Path(__file__).parent / "migrations",
    # Imports first: their path would otherwise be taken for a ticket of the id "imports".
    resources=(IMPORTS, TICKETS, COMMENTS, EVENTS),
    routers=(partial(imports_router, IMPORTS, IMPORTABLE),),
    jobs=(keep_history_partitions, import_job(IMPORTABLE)),
    documents=(Mapping, ImportJob),
)
