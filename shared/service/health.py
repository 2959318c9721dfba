"""Liveness and readiness: the process runs; it can serve."""

import asyncio
from collections.abc import Callable

import asyncpg
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse

from shared.database.database import Database
from shared.database.failures import connection_lost
from shared.database.revisions import newest_revision
from shared.service.definition import Service

_PATIENCE_S = 1.0


def health_router(service: Service, database: Database, found: Callable[[bool], None]) -> APIRouter:
    """`/livez` and `/readyz`. Readiness asks this service's own database and schema, never another service.

    `found` is told each time whether the service is ready.
    """
    router = APIRouter(include_in_schema=False)
    wanted = newest_revision(service.migrations)

    @router.get("/livez")
    async def livez(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @router.get("/readyz")
    async def readyz(_request: Request) -> JSONResponse:
        problem = await _unready(database, wanted)
        found(problem is None)
        if problem is None:
            return JSONResponse({"status": "ok", "schema": wanted})
        return JSONResponse({"status": "unready", "reason": problem}, 503)

    return router


async def _unready(database: Database, wanted: str) -> str | None:
    """Why this service cannot serve, or None."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            current = await database.revision()
    except asyncpg.UndefinedTableError:
        return "the database has no schema: run its migrations"
    except Exception as error:
        if not connection_lost(error):
            raise
        return "the database does not answer"
    if current < wanted:
        return f"the schema is at {current}, this code wants {wanted}: run the migrations"
    return None
