"""What the cache's decisions cost, in nanoseconds of CPU a call, with warm memos.

    make bench BENCH=cache_decisions

Rounds are interleaved and medians taken; `look_up` is one look-up in a dictionary, to compare machines by.
"""

import json
import statistics
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

from services.gateway.caching.http.cache_status import CacheStatus
from services.gateway.caching.http.decision import on_answer, on_not_modified, on_request
from services.gateway.caching.http.freshness import SECOND_NS, Times
from services.gateway.caching.http.keys import Audience, Visibility, primary_key
from services.gateway.caching.http.outcomes import Forwarded
from services.gateway.caching.http.stored import StoredAnswer, StorePlan
from services.gateway.protocol.fields import read_fields
from shared.identity import Identity

_ROUNDS: Final = 15
_CALLS: Final = 20_000
_WALL_S: Final = 1_792_000_000
_NOW_NS: Final = 1_000_000 * SECOND_NS

_REQUEST: Final = read_fields(
    [
        b"Host: crm.example",
        b"Authorization: Bearer kontor_0123456789",
        b"X-Request-Id: 0193-5ab",
        b"Accept: application/json",
        b"Accept-Encoding: gzip, br",
        b"User-Agent: browser",
    ]
)
_BASIC: Final = (
    b"content-type: application/json",
    b"content-length: 1024",
    b"date: Wed, 14 Oct 2026 19:06:40 GMT",
    b'etag: "17-3f"',
)


def _stored(*lines: bytes) -> StoredAnswer:
    head = b"\r\n".join((*_BASIC, *lines)) + b"\r\n"
    fields = read_fields((*_BASIC, *lines))
    times = Times(_NOW_NS, _NOW_NS, _WALL_S)
    plan = on_answer(b"GET", _REQUEST, 200, fields, head, times, shared=True)
    assert isinstance(plan, StorePlan), plan.reason
    stored = plan.complete(1024)
    assert stored is not None
    return stored


def candidates() -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    now_ns = _NOW_NS + 5 * SECOND_NS
    plain = (_stored(b"cache-control: public, max-age=60"),)
    varying = (_stored(b"cache-control: public, max-age=60", b"vary: accept-encoding"),)
    stale = (_stored(b"cache-control: public, max-age=1"),)
    conditional = {**_REQUEST, b"if-none-match": b'"17-3f"'}
    impatient = {**_REQUEST, b"cache-control": b"max-age=0"}
    storable = (*_BASIC, b"cache-control: public, max-age=60", b"vary: accept-encoding")
    head, answer = b"\r\n".join(storable) + b"\r\n", read_fields(storable)
    private = {**answer, b"cache-control": b"private, no-cache"}
    times = Times(_NOW_NS, _NOW_NS, _WALL_S)
    identity = Identity(UUID(int=7), "key-1", frozenset({"contacts:read"}))
    audience = Audience(Visibility.PRINCIPAL, identity)
    status = CacheStatus("Kontor")
    known = {b"GET": 1}
    return {
        "look_up": lambda: known.get(b"GET"),
        "key": lambda: primary_key(audience, b"http", b"crm.example", b"/v1/accounts?limit=50"),
        "hit": lambda: on_request(b"GET", _REQUEST, plain, now_ns),
        "hit_with_vary": lambda: on_request(b"GET", _REQUEST, varying, now_ns),
        "hit_not_modified": lambda: on_request(b"GET", conditional, plain, now_ns),
        "miss": lambda: on_request(b"GET", _REQUEST, (), now_ns),
        "stale": lambda: on_request(b"GET", _REQUEST, stale, now_ns),
        "max_age_0": lambda: on_request(b"GET", impatient, plain, now_ns),
        "store": lambda: on_answer(b"GET", _REQUEST, 200, answer, head, times, shared=True),
        "refuse": lambda: on_answer(b"GET", _REQUEST, 200, private, head, times, shared=True),
        "not_modified": lambda: on_not_modified(plain, _REQUEST, answer, head, times),
        "status_of_hit": lambda: status.hit(plain[0].ttl_s(now_ns)),
        "status_of_miss": lambda: status.forwarded(Forwarded.URI_MISS, stored=True),
    }


def measure(call: Callable[[], object]) -> float:
    """CPU nanoseconds a call, the empty call's left out."""
    began = time.process_time_ns()
    for _ in range(_CALLS):
        call()
    spent = time.process_time_ns() - began
    began = time.process_time_ns()
    for _ in range(_CALLS):
        _nothing()
    return (spent - (time.process_time_ns() - began)) / _CALLS


def _nothing() -> None:
    return None


def main() -> None:
    every = candidates()
    samples: dict[str, list[float]] = {name: [] for name in every}
    for _ in range(_ROUNDS):
        for name, call in every.items():
            samples[name].append(measure(call))
    figures = {f"{name}_ns": round(statistics.median(values)) for name, values in samples.items()}
    for name, value in figures.items():
        print(f"{name:24} {value:8}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
