"""Places in the log as text."""

import pytest
from hypothesis import given
from hypothesis.strategies import builds, integers

from shared.events.position import Cursor, Position

POSITIONS = builds(Position, integers(0, 2**63 - 1), integers(0, 2**63 - 1))


@given(POSITIONS)
def test_a_position_comes_back_from_its_text(position: Position) -> None:
    assert Position.read(str(position)) == position
    assert Cursor.read(str(Cursor("7654321", position))) == Cursor("7654321", position)


def test_later_is_greater() -> None:
    assert Position(2**33, 1) > Position(2**33, 0) > Position(2**32 + 5, 99)


@pytest.mark.parametrize(
    "text", ["", "1", "1.", ".1", "1.2.3", "a.b", "-1.2", "1.2\n", "٣.٤", "1" * 20 + ".1"]
)
def test_other_texts_are_no_positions(text: str) -> None:
    with pytest.raises(ValueError, match="not a position"):
        Position.read(text)


@pytest.mark.parametrize("text", ["", "1.2", "@1.2", "x@1.2", "1@", "1@2", "1@1.2 "])
def test_other_texts_are_no_cursors(text: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        Cursor.read(text)
