"""`/metrics`, for Prometheus."""

from collections.abc import Callable, Iterable

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from shared.telemetry.metrics.exposition import content_type, expose
from shared.telemetry.metrics.families import Family

METRICS_PATH = "/metrics"


def metrics_router(collect: Callable[[], Iterable[Family]]) -> APIRouter:
    """The page of one process."""
    router = APIRouter(include_in_schema=False)

    @router.get(METRICS_PATH)
    async def metrics(request: Request) -> Response:
        return metrics_page(request, collect())

    return router


def metrics_page(request: Request, families: Iterable[Family]) -> Response:
    """These families, in the format that is asked for."""
    kind = content_type(request.headers.get("accept", ""))
    answer = Response(expose(families, kind))
    # As it stands: Starlette would put a second charset behind it.
    answer.headers["content-type"] = kind
    answer.headers["vary"] = "Accept"
    return answer
