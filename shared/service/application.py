"""The factory: from a service's declaration and its settings to an ASGI application."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from fastapi import FastAPI

from shared.database.database import Database
from shared.identity.verifier import IdentityVerifier
from shared.load.meter import LoadMeter
from shared.load.middleware import ReportLoad
from shared.logs.access import log_access
from shared.resources.cursors import CursorSigner
from shared.resources.definition import Resource
from shared.resources.documentation import Endpoint
from shared.resources.routes import Handlers, add_resource_routes
from shared.service.deadline import Deadline
from shared.service.definition import Parts, Service
from shared.service.direct import DirectReads
from shared.service.docs import add_docs
from shared.service.errors import add_error_handlers
from shared.service.health import health_router
from shared.service.middleware import PROBES, App, HeadAsGet, IdentityGate, RequestIds
from shared.service.openapi import document_api
from shared.service.settings import ServiceSettings, read_cursor_key
from shared.telemetry.server import ServedRequest, ServerSpans
from shared.telemetry.setup import Telemetry
from shared.version import VERSION

_logger = logging.getLogger(__name__)


def make_parts(service: Service, settings: ServiceSettings, telemetry: Telemetry) -> Parts:
    """What routes and jobs are built from; nothing connects yet."""
    database = Database(
        settings.database_url.get_secret_value(),
        name=service.name,
        telemetry=telemetry,
        reads=settings.read_connections,
        writes=settings.write_connections,
    )
    return Parts(settings, database, CursorSigner(read_cursor_key(settings.cursor_key_file)))


def create_app(service: Service, settings: ServiceSettings, telemetry: Telemetry) -> App:
    """The whole application, wrapped from the outside in: request id, span, load, deadline, identity, reads, routes."""
    parts = make_parts(service, settings, telemetry)
    meter = LoadMeter(pool_use=parts.database.reads_in_use)
    verifier = IdentityVerifier(settings.identity_public_key_file.read_bytes(), service.name)
    offers = [(r, Handlers(r, parts.database, parts.signer).endpoints()) for r in service.resources]
    api = _make_api(service, parts, offers, telemetry, meter)
    app: App = DirectReads(api, (endpoint for _, endpoints in offers for endpoint in endpoints))
    app = Deadline(IdentityGate(HeadAsGet(app), verifier))
    app = ServerSpans(ReportLoad(app, meter), telemetry, served=_log_served, unseen=PROBES)
    return RequestIds(app)


def _make_api(
    service: Service,
    parts: Parts,
    offers: Iterable[tuple[Resource, list[Endpoint]]],
    telemetry: Telemetry,
    meter: LoadMeter,
) -> FastAPI:
    """The routes and their documentation."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await parts.database.open()
        _settle_garbage_collector()
        async with meter.measuring():
            yield
        await parts.database.close()
        await asyncio.to_thread(telemetry.shutdown)

    app = FastAPI(
        title=service.title,
        version=VERSION,
        description=service.summary,
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        # One SERVER span per request is ours; FastAPI would add another.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    add_error_handlers(app)
    app.include_router(health_router(service, parts.database))
    # A service's own routes before the resources': /v1/deals/summary is no deal's id. Not as a group, which costs a
    # look-up and would be asked last.
    for make_router in service.routers:
        app.router.routes.extend(make_router(parts).routes)
    for resource, endpoints in offers:
        add_resource_routes(app, resource, endpoints)
    document_api(app, service.resources, service.documents)
    add_docs(app)
    return app


def _log_served(request: ServedRequest) -> None:
    log_access(
        request.method,
        request.path,
        request.status,
        request.duration_ns,
        route=request.route,
        error=request.error,
    )


def _settle_garbage_collector() -> None:
    """Everything alive now lives until the end, and requests leave few cycles: collect rarely, scan little.

    Measured on by-id reads: 149 to 112 µs of CPU, and a sixth of the 99th percentile.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
