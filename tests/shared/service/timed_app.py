"""A service with faults, in a process of its own: `python -m tests.shared.service.timed_app PORT DATABASE_URL`.

Wired as every service is: the timed protocol, `ServerSpans` outermost, request ids, `Database`; it has two connections
for reads.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import uvicorn
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response, StreamingResponse

from shared.asgi import App
from shared.database.database import Database
from shared.logs.setup import configure_logging
from shared.service.application import log_served
from shared.service.middleware import RequestIds
from shared.service.protocol import timed_by
from shared.telemetry.driving import time_tasks
from shared.telemetry.server import ServerSpans
from shared.telemetry.setup import configure
from shared.telemetry.stopwatch import LoopWork

SLEEP = "SELECT pg_sleep($1)::text"


def make_app(url: str, work: LoopWork) -> App:
    configure_logging("json", "things", "things-1")
    telemetry = configure("things", version="1.2.3", instance_id="things-1", environ=os.environ)
    database = Database(url, name="things", reads=2, writes=2)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        time_tasks(asyncio.get_running_loop())
        await database.open()
        yield
        await database.close()
        await asyncio.to_thread(telemetry.shutdown)

    app = FastAPI(lifespan=lifespan, telemetry={"tracing": False, "metrics": False, "logs": False})

    add_database_routes(app, database)
    add_other_routes(app)
    return ServerSpans(RequestIds(app), telemetry, served=log_served, work=work)


def add_database_routes(app: FastAPI, database: Database) -> None:
    @app.get("/read")
    async def read() -> str:
        return str((await database.fetch("SELECT", "SELECT 1"))[0][0])

    @app.get("/slow/{seconds}")
    async def slow(seconds: float) -> str:
        await database.fetch("SELECT", SLEEP, seconds)
        return "late"

    @app.get("/two/{seconds}")
    async def two(seconds: float) -> str:
        await asyncio.gather(*(database.fetch("SELECT", SLEEP, seconds) for _ in range(2)))
        return "late"

    @app.post("/write/{seconds}")
    async def write(seconds: float) -> str:
        async def work(session: AsyncSession) -> str:
            await session.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": seconds})
            return "done"

        return await database.write(work)

    @app.get("/refused")
    async def refused() -> Response:
        """Not raised on: the server would close the connection."""
        with suppress(asyncpg.DivisionByZeroError):
            await database.fetch("SELECT", "SELECT 1 / 0")
        return Response(status_code=500)


def add_other_routes(app: FastAPI) -> None:
    @app.get("/block/{seconds}")
    async def block(seconds: float) -> str:
        time.sleep(seconds)  # noqa: ASYNC251 (that is the fault)
        return "sorry"

    @app.get("/stream/{seconds}")
    async def stream(seconds: float) -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            yield "a"
            await asyncio.sleep(seconds)
            yield "b"

        return StreamingResponse(parts())


if __name__ == "__main__":
    loop_work = LoopWork()
    uvicorn.run(
        make_app(sys.argv[2], loop_work),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        http=timed_by(loop_work),
        log_config=None,
        access_log=False,
    )
