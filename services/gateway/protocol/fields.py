"""Header lines: their grammar, and what each name means to a proxy (RFC 9110 5.5 and 7.6, RFC 9112 5). Pure.

A line is looked at once and remembered: most lines of most requests (`Accept: */*`, `User-Agent: …`) have
been seen before, and a dictionary answers in a twentieth of the time that a regular expression takes. What is
remembered depends on the line's bytes alone, never on who sent it or when.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Final, TypeAlias

from shared.alphabets import alphabet

TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# Visible characters, spaces, tabs and what is beyond ASCII: neither NUL nor a bare CR or LF (RFC 9110, 5.5).
IN_VALUES: Final = alphabet(b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100)))

# Fields of the connection, not of the message (RFC 9110, 7.6.1), with two older ones that still are.
HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

_REMEMBERED_LINES = 8192
_LONGEST_REMEMBERED = 256
# A field with more different lines than these is made for each request: remembering it would drive others out.
_MOST_OF_ONE_NAME = 1024


class BadFieldError(ValueError):
    """A line that is no header field."""


# A field that the gateway itself reads: lower-case name, value, whether the line is passed on as well. A plain
# tuple: of a class of its own it would take four times as long to unpack.
Noted: TypeAlias = tuple[bytes, bytes, bool]


class Verdict(Enum):
    """What becomes of a line that the gateway need not read."""

    PASS = "pass"  # noqa: S105 - no password
    DROP = "drop"


# Names of the module: reading a member of an enum costs thirty times as much.
PASS: Final = Verdict.PASS
DROP: Final = Verdict.DROP


# What a spelling of a name means: the name in lower case, the verdict if the name alone decides it, whether a noted
# line is passed on, whether its value is looked at closely, whether such lines are remembered.
_Name: TypeAlias = tuple[bytes, Verdict | None, bool, bool, bool]


class LineReader:
    """Says of each line whether to pass it on, to drop it or to take note of it.

    `noted` are the names to take note of, with whether their lines are passed on too; lines whose name is in
    `dropped` or begins with one of `dropped_prefixes` go no further; all others pass. Lines with a name in
    `unique` differ in every message and are not remembered. `silent` are whole lines that say nothing.
    `checks` look at the values of some noted names and raise `BadFieldError`.
    """

    def __init__(
        self,
        noted: Mapping[bytes, bool],
        dropped: Iterable[bytes],
        dropped_prefixes: tuple[bytes, ...],
        unique: Iterable[bytes],
        silent: Iterable[bytes] = (),
        checks: Mapping[bytes, Callable[[bytes], None]] | None = None,
    ) -> None:
        self._noted = dict(noted)
        self._dropped = frozenset(dropped)
        self._dropped_prefixes = dropped_prefixes
        self._unique = frozenset(unique)
        self._silent = frozenset(silent)
        self._checks = dict(checks or {})
        self.known: dict[bytes, Verdict | Noted] = {}
        self._special = {one.partition(b":")[0] for one in self._silent} | self._checks.keys()
        self._names: dict[bytes, _Name] = {}
        self._seen: dict[bytes, int] = {}

    def learn(self, line: bytes) -> Verdict | Noted:
        """The verdict on a line that is not in `known`. Raises `BadFieldError`."""
        raw_name, colon, value = line.partition(b":")
        if not colon:  # the name alone may well be known
            raise BadFieldError("a header line has no name and colon")
        name, by_name, passed_on, special, repeats = self._names.get(raw_name) or self._learn_name(raw_name)
        if value.translate(IN_VALUES) != value:
            raise BadFieldError("a header value has a control character")
        verdict: Verdict | Noted
        if by_name is not None:
            verdict = by_name
        elif special:
            verdict = self._note(name, value.strip(b" \t"))
        else:
            verdict = name, value.strip(b" \t"), passed_on
        if repeats and len(line) <= _LONGEST_REMEMBERED:
            self._remember(line, raw_name, verdict)
        return verdict

    def _remember(self, line: bytes, raw_name: bytes, verdict: Verdict | Noted) -> None:
        if len(self.known) >= _REMEMBERED_LINES:
            self.known.clear()
            self._seen.clear()
        seen = self._seen[raw_name] = self._seen.get(raw_name, 0) + 1
        if seen <= _MOST_OF_ONE_NAME:
            self.known[line] = verdict
        elif raw_name in self._names:
            name, by_name, passed_on, special, _ = self._names[raw_name]
            self._names[raw_name] = name, by_name, passed_on, special, False

    def _learn_name(self, raw_name: bytes) -> "_Name":
        if TOKEN.fullmatch(raw_name) is None:
            raise BadFieldError("a header's name is not a token" if raw_name else "a header has no name")
        name = raw_name.lower()
        verdict = None if name in self._noted else self._judge(name)
        passed_on = self._noted.get(name, False)
        learnt = name, verdict, passed_on, name in self._special, name not in self._unique
        if len(raw_name) <= _LONGEST_REMEMBERED:
            if len(self._names) >= _REMEMBERED_LINES:
                self._names.clear()
            self._names[raw_name] = learnt
        return learnt

    def _judge(self, name: bytes) -> Verdict:
        # CGI and its heirs read X_Kontor_Identity as X-Kontor-Identity: what is not passed in one spelling is not
        # passed in the other either.
        plain = name.replace(b"_", b"-")
        dropped = plain in self._dropped or plain.startswith(self._dropped_prefixes) or plain in self._noted
        return DROP if dropped else PASS

    def _note(self, name: bytes, value: bytes) -> Verdict | Noted:
        if name + b":" + value.lower() in self._silent:
            return DROP
        if name in self._checks:
            self._checks[name](value)
        return name, value, self._noted[name]


def read_fields(lines: Iterable[bytes]) -> dict[bytes, bytes]:
    """The values in header lines as they came, `Name: value` each (RFC 9110, 5.3).

    `Set-Cookie` must not be joined so; in what is asked here it only counts whether there is one.
    """
    fields: dict[bytes, bytes] = {}
    for line in lines:
        raw_name, _, raw_value = line.partition(b":")
        name, value = raw_name.lower(), raw_value.strip(b" \t")
        fields[name] = fields[name] + b", " + value if name in fields else value
    return fields


def name_of(line: bytes) -> bytes:
    """The lower-case name of a header line."""
    return line.partition(b":")[0].lower()


def tokens(value: bytes) -> list[bytes]:
    """The members of a comma-separated list, in lower case, empty ones left out."""
    return [member for part in value.split(b",") if (member := part.strip(b" \t").lower())]


def without(lines: Iterable[bytes], names: frozenset[bytes]) -> list[bytes]:
    """The lines whose field is not among `names` (lower case)."""
    return [line for line in lines if line.partition(b":")[0].lower() not in names]
