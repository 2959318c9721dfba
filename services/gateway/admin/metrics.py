"""`/metrics` of the gateway, all its workers together, for Prometheus."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.control.parent import Parent
from shared.telemetry.metrics.page import METRICS_PATH, metrics_page

router = APIRouter(include_in_schema=False)


@router.get(METRICS_PATH)
async def metrics(request: Request) -> Response:
    """What all workers have counted, in the format that is asked for."""
    parent: Parent = request.app.state.parent
    return metrics_page(request, await parent.fleet.figures())
