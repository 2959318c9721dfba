"""`/metrics`, for Prometheus."""

from collections.abc import Awaitable, Callable, Iterable

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from shared.telemetry.metrics.exposition import content_type, expose
from shared.telemetry.metrics.families import Family

METRICS_PATH = "/metrics"

Collect = Callable[[], Awaitable[Iterable[Family]]]


def metrics_router(collect: Collect) -> APIRouter:
    """The page, in the format that is asked for."""
    router = APIRouter(include_in_schema=False)

    @router.get(METRICS_PATH)
    async def metrics(request: Request) -> Response:
        kind = content_type(request.headers.get("accept", ""))
        answer = Response(expose(await collect(), kind))
        # As it stands: Starlette would put a second charset behind it.
        answer.headers["content-type"] = kind
        answer.headers["vary"] = "Accept"
        return answer

    return router
