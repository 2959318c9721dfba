"""Cache-Status: RFC 9211."""

from typing import Any, cast

import http_sf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.caching.http.cache_status import CacheStatus
from services.gateway.caching.http.outcomes import Forwarded

STATUS = CacheStatus("Kontor")


def read(value: bytes) -> list[tuple[str, dict[str, Any]]]:
    members = cast(list[tuple[Any, dict[str, Any]]], http_sf.parse(value, tltype="list"))
    return [(str(name), parameters) for name, parameters in members]


def test_2_1_hit_and_2_4_ttl() -> None:
    assert STATUS.hit(376) == b"Kontor; hit; ttl=376"
    assert STATUS.hit(-412) == b"Kontor; hit; ttl=-412"


@pytest.mark.parametrize("why", list(Forwarded))
def test_2_2_each_reason_to_forward_and_never_hit_beside_it(why: Forwarded) -> None:
    ((name, parameters),) = read(STATUS.forwarded(why))
    assert (name, str(parameters.pop("fwd")), parameters) == ("Kontor", why.value, {})


def test_2_2_the_reasons_are_those_of_the_standard() -> None:
    assert {why.value for why in Forwarded} == {
        *("bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial"),
    }


def test_2_3_to_2_8_the_parameters_that_are_said() -> None:
    member = STATUS.forwarded(
        Forwarded.STALE, fwd_status=304, ttl_s=60, stored=True, collapsed=False, detail="set-cookie"
    )
    ((_, parameters),) = read(member)
    assert {name: str(value) for name, value in parameters.items()} == {
        "fwd": "stale",
        "fwd-status": "304",
        "ttl": "60",
        "stored": "True",
        "collapsed": "False",
        "detail": "set-cookie",
    }
    assert b"; collapsed;" in STATUS.forwarded(Forwarded.MISS, collapsed=True) + b";"


def test_2_what_is_answered_without_asking_says_why() -> None:
    assert STATUS.unasked(detail="only-if-cached") == b"Kontor; detail=only-if-cached"


@given(
    st.text(max_size=20),
    st.sampled_from(Forwarded),
    st.none() | st.integers(100, 599),
    st.none() | st.integers(-(2**31), 2**31),
    st.booleans(),
    st.none() | st.booleans(),
    st.none() | st.text(max_size=20),
)
def test_everything_that_is_written_is_strictly_readable(
    name: str,
    why: Forwarded,
    fwd_status: int | None,
    ttl_s: int | None,
    stored: bool,
    collapsed: bool | None,
    detail: str | None,
) -> None:
    status = CacheStatus(name)
    forwarded = status.forwarded(
        why, fwd_status=fwd_status, ttl_s=ttl_s, stored=stored, collapsed=collapsed, detail=detail
    )
    hit = status.hit(ttl_s or 0, detail=detail)
    for member in (forwarded, hit):
        ((_, parameters),) = read(member)
        assert ("hit" in parameters) != ("fwd" in parameters)
        assert parameters.get("ttl") == (ttl_s if member is forwarded else ttl_s or 0)
