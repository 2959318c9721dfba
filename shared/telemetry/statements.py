"""What an SQL statement does, without anything it says: operations and tables only."""

import re
from functools import lru_cache

_NOISE = re.compile(
    r"""--[^\n]* | /\*.*?\*/                 # comments
      | [eE]?'(?:[^'\\]|''|\\.)*'            # string literals
      | \$([A-Za-z_]\w*|)\$.*?\$\1\$         # dollar-quoted literals
      | \bFROM\s+STDIN\b | \bTO\s+STDOUT\b
      | \bFOR\s+(?:NO\s+KEY\s+)?UPDATE\b | \bDO\s+UPDATE\b | \bDISTINCT\s+FROM\b
      | \b(?:EXTRACT|SUBSTRING|TRIM|OVERLAY)\s*\([^()]*\bFROM\b
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_TABLE = r'(?:ONLY\s+)?((?:"[^"]+"|[A-Za-z_][\w$]*)(?:\.(?:"[^"]+"|[A-Za-z_][\w$]*))?)'
_STEP = re.compile(
    rf"\b(?:(INSERT\s+INTO|DELETE\s+FROM|MERGE\s+INTO|UPDATE|COPY|TRUNCATE)\s+{_TABLE}"
    rf"|(SELECT)\b|(?:FROM|JOIN|USING)\s+{_TABLE})",
    re.IGNORECASE,
)
_FIRST_WORD = re.compile(r"[\s(]*([A-Za-z]+)")
_LONGEST = 255  # the convention's limit for a summary


@lru_cache(maxsize=1024)
def summarize(statement: str) -> str:
    """`SELECT accounts contacts`, `DELETE old INSERT archive`, `COMMIT`: each operation with its tables.

    The form of OpenTelemetry's `db.query.summary`; never a literal, at most 255 characters. A SELECT that is nested
    in the columns of another one, and reads no table before that one does, adds nothing.
    """
    plain = _NOISE.sub(" ", statement)
    words: list[str] = []
    for write, written, select, read in _STEP.findall(plain):
        if select:
            if words[-1:] != ["SELECT"]:
                words.append("SELECT")
        elif write:
            words += [write.split()[0].upper(), written.replace('"', "")]
        else:
            words.append(read.replace('"', ""))
    if not words and (first := _FIRST_WORD.match(plain)):
        words = [first[1].upper()]
    return _fitting(words) or "SQL"


def _fitting(words: list[str]) -> str:
    text = ""
    for word in words:
        if len(text) + 1 + len(word) > _LONGEST:
            break
        text = f"{text} {word}" if text else word
    return text
