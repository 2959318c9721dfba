"""Cache-Status: RFC 9211."""

from typing import Any, cast
from uuid import UUID

import http_sf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.caching.http.cache_status import CacheStatus, append, shown_key
from services.gateway.caching.http.keys import Audience, Visibility, primary_key
from services.gateway.caching.http.outcomes import Forwarded
from shared.identity import Identity

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


def test_2_3_to_2_8_all_parameters() -> None:
    member = STATUS.forwarded(
        Forwarded.STALE, fwd_status=304, ttl_s=60, stored=True, collapsed=False, key="/a", detail="set-cookie"
    )
    ((_, parameters),) = read(member)
    assert {name: str(value) for name, value in parameters.items()} == {
        "fwd": "stale",
        "fwd-status": "304",
        "ttl": "60",
        "stored": "True",
        "collapsed": "False",
        "key": "/a",
        "detail": "set-cookie",
    }
    assert b"; collapsed;" in STATUS.forwarded(Forwarded.MISS, collapsed=True, key="") + b";"


def test_2_what_is_answered_without_asking_says_why() -> None:
    assert STATUS.unasked(detail="only-if-cached") == b"Kontor; detail=only-if-cached"


def test_2_what_caches_before_us_said_is_kept_and_ours_comes_last() -> None:
    existing = b'OriginCache; hit; ttl=1100, "CDN Company Here"; fwd=uri-miss'
    value = append(existing, STATUS.hit(5))
    assert value == existing + b", Kontor; hit; ttl=5"
    assert [name for name, _ in read(value)] == ["OriginCache", "CDN Company Here", "Kontor"]


@pytest.mark.parametrize("existing", [None, b"", b"  ", b"HIT from x, =", b"a,", b"x" * 2000])
def test_2_what_is_no_structured_list_would_make_ours_unreadable(existing: bytes | None) -> None:
    assert append(existing, STATUS.hit(5)) == b"Kontor; hit; ttl=5"


def test_2_7_the_key_tells_nothing_of_who_asked() -> None:
    identity = Identity(UUID(int=7), "principal-x", frozenset({"scope-x"}))
    for visibility in Visibility:
        key = primary_key(Audience(visibility, identity), b"https", b"h", b"/a?b")
        shown = shown_key(b"https", b"h", b"/a?b")
        assert shown == "https://h/a?b"
        assert shown.encode() in key
        assert not any(secret in shown for secret in (identity.tenant_id.hex, "principal", "scope"))


@given(
    st.text(max_size=20),
    st.sampled_from(Forwarded),
    st.none() | st.integers(100, 599),
    st.none() | st.integers(-(2**31), 2**31),
    st.booleans(),
    st.none() | st.booleans(),
    st.none() | st.binary(max_size=600).map(lambda raw: raw.decode("latin-1")),
    st.none() | st.text(max_size=20),
    st.none() | st.binary(max_size=20),
)
def test_everything_that_is_written_is_strictly_readable(
    name: str,
    why: Forwarded,
    fwd_status: int | None,
    ttl_s: int | None,
    stored: bool,
    collapsed: bool | None,
    key: str | None,
    detail: str | None,
    existing: bytes | None,
) -> None:
    status = CacheStatus(name)
    forwarded = status.forwarded(
        why, fwd_status=fwd_status, ttl_s=ttl_s, stored=stored, collapsed=collapsed, key=key, detail=detail
    )
    hit = status.hit(ttl_s or 0, key=key, detail=detail)
    for member in (forwarded, hit):
        *_, (_, parameters) = read(append(existing, member))
        assert ("hit" in parameters) != ("fwd" in parameters)
        assert parameters.get("ttl") == (ttl_s if member is forwarded else ttl_s or 0)
