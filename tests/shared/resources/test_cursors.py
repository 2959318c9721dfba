"""Cursors: any value survives the journey, and nothing that was tampered with is accepted."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.problems import Problem
from shared.resources.cursors import CursorSigner, Position

SIGNER = CursorSigner(b"k" * 32)
TENANT = UUID(int=1)
VALUES = st.one_of(
    st.none(),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.integers(-(2**63), 2**63 - 1),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.datetimes(timezones=st.just(UTC)),
    st.dates(),
    st.uuids(),
)


def written(value: Any) -> str | int | None:
    """What reading gives back for a value."""
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, date | Decimal | UUID) else value


@given(VALUES, st.uuids(), st.uuids(), st.text(st.characters()))
def test_every_value_comes_back(value: Any, record_id: UUID, tenant_id: UUID, question: str) -> None:
    cursor = SIGNER.write(Position(value, record_id), tenant_id=tenant_id, question=question)
    assert cursor.isascii()
    assert SIGNER.read(cursor, tenant_id=tenant_id, question=question) == (written(value), record_id)


@given(VALUES, st.data())
def test_every_changed_byte_is_noticed(value: Any, data: st.DataObject) -> None:
    cursor = SIGNER.write(Position(value, UUID(int=2)), tenant_id=TENANT, question="q")
    raw = bytearray(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    refuse(urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode())


@given(st.text(st.characters()))
def test_what_we_did_not_write_is_refused(cursor: str) -> None:
    refuse(cursor)


@pytest.mark.parametrize(("tenant", "question"), [(UUID(int=2), "q"), (TENANT, "Q"), (TENANT, "")])
def test_a_cursor_is_bound_to_tenant_and_question(tenant: UUID, question: str) -> None:
    cursor = SIGNER.write(Position("x", UUID(int=3)), tenant_id=TENANT, question="q")
    with pytest.raises(Problem):
        SIGNER.read(cursor, tenant_id=tenant, question=question)


def test_another_key_writes_other_cursors() -> None:
    refuse(CursorSigner(b"o" * 32).write(Position(1, UUID(int=3)), tenant_id=TENANT, question="q"))


def test_a_value_of_an_unknown_type_is_a_defect() -> None:
    with pytest.raises(TypeError):
        SIGNER.write(Position(1.5, UUID(int=3)), tenant_id=TENANT, question="q")


def refuse(cursor: str) -> None:
    """Reading it must be a 400 that names the parameter."""
    with pytest.raises(Problem) as caught:
        SIGNER.read(cursor, tenant_id=TENANT, question="q")
    assert (caught.value.status, caught.value.errors[0].pointer) == (400, "?cursor")
