"""The textbook form of a gateway: a catch-all route of FastAPI that asks httpx and streams the answer on."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle
from uuid import uuid4

import httpx2
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask

# The pool holds 100 by default, which would refuse callers of the benchmark with 256 connections.
client = httpx2.AsyncClient(limits=httpx2.Limits(max_connections=512), timeout=60, trust_env=False)
replicas = cycle(os.environ["BENCH_REPLICAS"].split())


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Closes the client in the end."""
    yield
    await client.aclose()


app = FastAPI(lifespan=lifespan)


@app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
async def forward(request: Request, path: str) -> StreamingResponse:
    """To the next replica and back."""
    headers = {name: value for name, value in request.headers.items() if name != "host"}
    headers.setdefault("x-request-id", str(uuid4()))
    headers["x-forwarded-for"] = request.client.host if request.client else ""
    url = f"{next(replicas)}/{path}?{request.url.query}" if request.url.query else f"{next(replicas)}/{path}"
    asked = client.build_request(request.method, url, headers=headers, content=await request.body())
    answer = await client.send(asked, stream=True)
    passed = {name: value for name, value in answer.headers.items() if name != "connection"}
    return StreamingResponse(
        answer.aiter_raw(), answer.status_code, passed, background=BackgroundTask(answer.aclose)
    )


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["BENCH_PORT"]))
