"""`q`: every word of the query must begin a word of the record.

The index is over the expression itself, so that nothing is stored twice; the query uses the same text of SQL,
which is what lets PostgreSQL match the two.
"""

import re

from shared.resources.filters import words_of

_WORD = re.compile(r"[^\W_]+")
MAX_WORDS = 10


def search_vector(*columns: str) -> str:
    """The tsvector of these SQL expressions, immutable, with the parts of addresses as words of their own."""
    joined = " || ' ' || ".join(f"coalesce({column}, '')" for column in columns)
    return f"to_tsvector('simple'::regconfig, {words_of(joined)})"


def prefix_query(text: str) -> str | None:
    """`text` as a tsquery in which each word may be the start of a longer one, or None without any word."""
    words = _WORD.findall(text.lower())[:MAX_WORDS]
    return " & ".join(f"'{word}':*" for word in words) if words else None
