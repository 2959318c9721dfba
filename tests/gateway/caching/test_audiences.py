"""Audiences are worked out once for each caller, and never for somebody else of the same name."""

from uuid import UUID

import pytest

from services.gateway.auth.keys import Caller
from services.gateway.caching import audiences
from services.gateway.caching.audiences import Audiences
from services.gateway.caching.http.keys import Audience, Visibility, primary_key
from shared.identity import Identity


def caller(key_id: str = "a", tenant: int = 1, scopes: frozenset[str] = frozenset({"crm:read"})) -> Caller:
    return Caller(key_id, Identity(UUID(int=tenant), f"key:{key_id}", scopes))


def key(audience: Audience) -> bytes:
    return primary_key(audience, b"http", b"h", b"/a")


@pytest.mark.parametrize("visibility", Visibility)
def test_it_is_the_audience_of_the_caller_s_identity(visibility: Visibility) -> None:
    one = caller()
    of = Audiences(visibility).of
    assert key(of(one)) == key(Audience(visibility, one.identity))
    assert of(one) is of(one)


@pytest.mark.parametrize(
    "successor", [caller(tenant=2), caller(scopes=frozenset()), caller(scopes=frozenset({"crm:read", "*"}))]
)
def test_a_key_s_id_that_stands_for_somebody_else_has_another_audience(successor: Caller) -> None:
    of = Audiences(Visibility.SCOPES).of
    before = key(of(caller()))
    assert key(of(successor)) == key(Audience(Visibility.SCOPES, successor.identity)) != before
    assert key(of(caller())) == before


def test_without_a_caller_there_is_an_audience_for_everyone_only() -> None:
    assert Audiences(Visibility.EVERYONE).of(None).tenant == b"-"
    with pytest.raises(ValueError, match="need an identity"):
        Audiences(Visibility.TENANT).of(None)


def test_of_too_many_callers_not_all_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audiences, "_MOST_KNOWN", 2)
    known = Audiences(Visibility.PRINCIPAL)
    callers = [caller(name) for name in "abc"]
    assert len({key(known.of(one)) for one in callers}) == 3
    assert len(known._known) == 1
    assert key(known.of(callers[0])) == key(Audience(Visibility.PRINCIPAL, callers[0].identity))
