"""Finished requests as tests need them."""

from collections.abc import Mapping
from typing import Any

from services.gateway.resilience.ledger import OK, Outcome
from services.gateway.timing.finished import FIRST, Attempt, AttemptKind, FinishedRequest
from services.gateway.timing.terms import Components, components_of
from shared.telemetry.terms import ServiceTerms

MS = 1_000_000


def attempt(
    asked: int,
    sent: int,
    first_byte: int,
    ended: int,
    *,
    kind: AttemptKind = FIRST,
    connected: int = 0,
    last_byte: int | None = None,
    min_rtt: int = 0,
    terms: ServiceTerms | None = None,
    outcome: Outcome = OK,
    **more: Any,
) -> Attempt:
    """Without a `last_byte` it came with the first one."""
    last_byte = first_byte if last_byte is None else last_byte
    return Attempt(
        kind,
        asked,
        connected,
        sent,
        first_byte,
        last_byte,
        ended,
        min_rtt,
        terms,
        outcome=outcome,
        **more,
    )


def finished(
    *attempts: Attempt,
    received: int = 0,
    started: int = 0,
    ready: int = 0,
    uploaded: int = 0,
    slot: int = 0,
    resumed: int = 0,
    done: int,
    **more: Any,
) -> FinishedRequest:
    return FinishedRequest(received, started, ready, uploaded, slot, resumed, done, attempts, **more)


def booked(request: FinishedRequest) -> Mapping[str, int]:
    """The components that are not 0, after a look at what holds for all."""
    components = components_of(request)
    check(components, request.total_ns)
    return {name: value for name, value in components._asdict().items() if value}


def check(components: Components, total_ns: int) -> None:
    """What holds of all components, whatever happened."""
    assert min(components) >= 0
    assert sum(components) == total_ns
    assert components.latency.total_ns == total_ns
