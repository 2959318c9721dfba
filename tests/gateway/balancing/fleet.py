"""Endpoints for tests."""

from services.gateway.balancing.endpoint import Endpoint
from services.gateway.balancing.policy import Replica


def endpoints(*weights: int, zone: str = "", first_port: int = 1) -> tuple[Endpoint, ...]:
    """One endpoint per weight, on ports from `first_port`."""
    return tuple(
        Endpoint(Replica("u", "host", port, weight, zone)) for port, weight in enumerate(weights, first_port)
    )


def equal(count: int, *, zone: str = "", first_port: int = 1) -> tuple[Endpoint, ...]:
    """`count` endpoints of weight 1."""
    return endpoints(*[1] * count, zone=zone, first_port=first_port)


def occupy(endpoint: Endpoint, requests: int) -> Endpoint:
    """Puts requests in flight."""
    for _ in range(requests):
        endpoint.began(0)
    return endpoint
