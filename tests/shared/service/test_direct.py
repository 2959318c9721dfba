"""The short way answers what the long way would, and takes nothing else."""

import json
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from shared.asgi import App, Message, Receive, Scope, Send
from shared.problems import Problem
from shared.resources.documentation import Endpoint
from shared.service.direct import DirectReads
from shared.service.errors import add_error_handlers
from shared.telemetry.server import matched_route

ID = "0192f0c1-7c1e-7cc5-b1a5-6d1f1e6a0001"
OTHER_ID = str(UUID(int=7))


async def echo(request: Request) -> Response:
    return PlainTextResponse(f"{request.path_params} {request.query_params}", headers={"ETag": '"7"'})


async def gone(_request: Request) -> Response:
    raise Problem(410, "gone", "Gone")


async def slow(_request: Request) -> Response:
    raise asyncpg.QueryCanceledError("canceling statement due to statement timeout")


async def broken(_request: Request) -> Response:
    raise LookupError("jane")


ENDPOINTS = [
    Endpoint("list", "GET", "/v1/deals", echo),
    Endpoint("create", "POST", "/v1/deals", echo, 201),
    Endpoint("get_by_external_id", "GET", "/v1/deals/by-external-id/{source}/{external_id:path}", echo),
    Endpoint("get", "GET", "/v1/deals/{id}", echo),
    Endpoint("list", "GET", "/v1/deals/{parent_id}/lines", echo),
    Endpoint("get", "GET", "/v1/deals/{parent_id}/lines/{id}", echo),
    Endpoint("list", "GET", "/v1/gone", gone),
    Endpoint("list", "GET", "/v1/slow", slow),
    Endpoint("list", "GET", "/v1/broken", broken),
]


def long_way() -> FastAPI:
    app = FastAPI(redirect_slashes=False, telemetry={"tracing": False, "metrics": False, "logs": False})
    add_error_handlers(app)
    for endpoint in ENDPOINTS:
        app.add_api_route(endpoint.path, endpoint.handler, methods=[endpoint.method], response_class=Response)
    return app


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """What lies behind, when only the short way is looked at."""


def request(path: str, method: str = "GET") -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"limit=7",
        "root_path": "",
        "scheme": "http",
        "server": ("127.0.0.1", 8001),
        "headers": [],
        "request_id": "req-7",
    }


async def receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def ask(app: App, scope: Scope) -> list[Message]:
    """Everything that is answered; an exception that reaches the server comes last."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    try:
        await app(scope, receive, send)
    except LookupError as error:
        sent.append({"raised": repr(error)})
    return sent


@pytest.mark.parametrize(
    "path",
    [
        "/v1/deals",
        f"/v1/deals/{ID}",
        f"/v1/deals/{ID}/lines",
        f"/v1/deals/{ID}/lines/{OTHER_ID}",
        "/v1/gone",
        "/v1/slow",
        "/v1/broken",
    ],
)
async def test_both_ways_answer_the_same(path: str) -> None:
    short, long = request(path), request(path)
    answered = await ask(DirectReads(nothing, ENDPOINTS), short)
    assert answered
    assert answered == await ask(long_way(), long)
    assert matched_route(short) == matched_route(long)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/",
        "/v1/deals/",
        "/v2/deals",
        "/v1/leads",
        "//v1/deals",
        "/v1/deals\n",
        f"/v1/deals/{ID}/",
        f"/v1/deals/{ID}\n",
        f"/v1/deals/{ID.replace('-', '')}",
        f"/v1/deals/{ID}/lines/{ID}/x",
        "/v1/deals/summary",
        f"/v1/deals/by-external-id/lines/{ID}",
        f"/v1/deals/by-external-id/{ID}/x",
    ],
)
async def test_the_rest_goes_the_long_way(path: str) -> None:
    assert await ask(DirectReads(nothing, ENDPOINTS), request(path)) == []


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_go_the_long_way(method: str) -> None:
    assert await ask(DirectReads(nothing, ENDPOINTS), request("/v1/deals", method)) == []


async def test_other_scopes_go_the_long_way() -> None:
    assert await ask(DirectReads(nothing, ENDPOINTS), {"type": "lifespan"}) == []


async def test_a_defect_is_a_problem_to_the_caller_and_an_exception_to_the_server() -> None:
    start, body, raised = await ask(DirectReads(nothing, ENDPOINTS), request("/v1/broken"))
    assert start["status"] == 500
    assert json.loads(body["body"])["request_id"] == "req-7"
    assert "jane" not in body["body"].decode()
    assert raised == {"raised": "LookupError('jane')"}
