"""The factory: from a service's declaration and its settings to an ASGI application."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.routing import BaseRoute

from shared.database.database import Database
from shared.identity.verifier import IdentityVerifier
from shared.logs.access import log_access
from shared.resources.cursors import CursorSigner
from shared.resources.routes import add_resource_routes
from shared.service.definition import Parts, Service
from shared.service.docs import add_docs
from shared.service.errors import add_error_handlers
from shared.service.health import health_router
from shared.service.middleware import App, HeadAsGet, IdentityGate, RequestIds
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
    """The whole application, wrapped from the outside in: request id, span, identity, routes."""
    parts = make_parts(service, settings, telemetry)
    verifier = IdentityVerifier(settings.identity_public_key_file.read_bytes(), service.name)
    app: App = HeadAsGet(make_api(service, parts, telemetry))
    app = IdentityGate(app, verifier)
    app = ServerSpans(app, telemetry, served=_log_served)
    return RequestIds(app)


def make_api(service: Service, parts: Parts, telemetry: Telemetry) -> FastAPI:
    """The routes and their documentation."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await parts.database.open()
        _settle_garbage_collector()
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
    for resource in service.resources:
        add_resource_routes(app, resource, parts.database, parts.signer)
    document_api(app, service.resources, service.documents)
    add_docs(app)
    app.router.routes.sort(key=_turn)
    return app


def _turn(route: BaseRoute) -> int:
    """Routes are tried one after the other: lists and single records, which are asked for most, come first."""
    path, methods = getattr(route, "path", ""), getattr(route, "methods", None)
    if methods != {"GET"}:
        return 2
    if "{" not in path:
        return 0
    return 1 if path.endswith("/{id}") and path.count("{") == 1 else 2


def _log_served(request: ServedRequest) -> None:
    if request.path not in ("/livez", "/readyz"):
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
