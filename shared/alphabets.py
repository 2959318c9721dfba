"""Whether bytes are written in an alphabet, in the fewest steps Python has for it. Pure.

    FORM = alphabet(b"0123456789abcdef")
    if value.translate(FORM) == value: ...

`translate` changes what is not in the alphabet, and gives back the value itself where nothing is: half the time of a
regular expression, and of the `translate` that deletes, which makes a table of its own each time.
"""


def alphabet(letters: bytes) -> bytes:
    """A table for `bytes.translate` that changes all bytes but these."""
    return bytes(byte if byte in letters else byte ^ 0x80 for byte in range(256))
