from hypothesis import given
from hypothesis import strategies as st

from shared.alphabets import alphabet


@given(letters=st.binary(), value=st.binary())
def test_a_value_stays_as_it_is_if_it_is_written_in_the_alphabet(letters: bytes, value: bytes) -> None:
    assert (value.translate(alphabet(letters)) == value) == (set(value) <= set(letters))


def test_every_byte_is_told_from_every_other() -> None:
    for byte in range(256):
        table = alphabet(bytes([byte]))
        assert [other for other in range(256) if bytes([other]).translate(table) == bytes([other])] == [byte]
