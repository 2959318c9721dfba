"""A traced service in a process of its own: `python -m tests.shared.telemetry.traced_app PORT`."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI

from shared.asgi import App
from shared.logs.access import log_access
from shared.logs.setup import configure_logging
from shared.telemetry.server import ServedRequest, ServerSpans
from shared.telemetry.setup import configure


def log_served(request: ServedRequest) -> None:
    log_access(request.method, request.path, request.status, request.duration_ns, route=request.route)


def make_app() -> App:
    configure_logging("json", "things", "things-1")
    telemetry = configure("things", version="1.2.3", instance_id="things-1", environ=os.environ)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(telemetry.shutdown)

    app = FastAPI(lifespan=lifespan, telemetry={"tracing": False, "metrics": False, "logs": False})

    @app.get("/things/{thing_id}")
    async def read(thing_id: str) -> dict[str, str]:
        return {"id": thing_id}

    @app.get("/modules")
    async def modules() -> list[str]:
        return [name for name in ("opentelemetry.sdk", "google.protobuf", "requests") if name in sys.modules]

    return ServerSpans(app, telemetry, served=log_served)


if __name__ == "__main__":
    uvicorn.run(make_app(), host="127.0.0.1", port=int(sys.argv[1]), log_config=None, access_log=False)
