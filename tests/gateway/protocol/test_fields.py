"""Header lines: what is one, what becomes of it, and that having seen it before changes nothing."""

import pytest

from services.gateway.protocol.fields import DROP, PASS, BadFieldError, LineReader, tokens, without


def never(value: bytes) -> None:
    raise BadFieldError(value.decode())


def reader() -> LineReader:
    return LineReader(
        {b"host": False, b"via": True, b"connection": False, b"bad": False},
        dropped={b"te"},
        dropped_prefixes=(b"x-kontor-",),
        unique={b"etag"},
        silent={b"connection:keep-alive"},
        checks={b"bad": never},
    )


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        (b"Accept: */*", PASS),
        (b"accept:*/*", PASS),
        (b"Accept:", PASS),
        (b"X-Latin: caf\xe9", PASS),
        (b"!#$%&'*+-.^_`|~: every sign a name may have", PASS),
        (b"TE: trailers", DROP),
        (b"X-Kontor-Identity: forged", DROP),
        (b"Connection: Keep-Alive", DROP),
        (b"Connection:keep-alive", DROP),
        (b"Host:  a ", (b"host", b"a", False)),
        (b"HOST:\ta\t", (b"host", b"a", False)),
        (b"Via: 1.1 a", (b"via", b"1.1 a", True)),
        (b"Connection: close", (b"connection", b"close", False)),
    ],
)
def test_verdicts_do_not_depend_on_what_was_seen(line: bytes, verdict: object) -> None:
    lines = reader()
    assert [lines.learn(line), lines.known[line], lines.learn(line)] == [verdict] * 3


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b":", b": x", b"Accept", b"Host", b" Accept: folded", b"\tAccept: folded", b"Accept : x"),
        *(b"Accept\t: x", b"Acc\x00ept: x", b"Acc\xe9pt: x", b"Acc ept: x", b"(Accept): x", b"Accept\n: x"),
        *(b"Accept: a\x00b", b"Accept: a\nb", b"Accept: a\rb", b"Accept: a\x0bb", b"Accept: a\x7fb"),
        *(b"Accept: a\n", b"Host: a\r", b"Host\n: a", b"Bad: x"),
    ],
)
def test_what_is_no_field_is_refused_each_time(line: bytes) -> None:
    lines = reader()
    for name in (b"Accept", b"Host", b"ETag"):  # names that are known must not open a way
        lines.learn(name + b": x")
    for _ in range(2):
        with pytest.raises(BadFieldError):
            lines.learn(line)
    assert line not in lines.known


@pytest.mark.parametrize("name", [b"X_Kontor_Identity", b"x-kontor_identity", b"H_ost"])
def test_underscores_do_not_make_another_name_of_it(name: bytes) -> None:
    """To CGI and its heirs `X_Kontor_Identity` and `X-Kontor-Identity` are one variable."""
    assert reader().learn(name + b": x") is (PASS if name == b"H_ost" else DROP)


def test_unique_and_long_lines_are_not_remembered() -> None:
    lines = reader()
    lines.learn(b"ETag: 1")
    lines.learn(b"Accept: " + b"x" * 1000)
    lines.learn(b"n" * 1000 + b": x")
    assert not lines.known


def test_what_is_remembered_is_bounded() -> None:
    lines = reader()
    for number in range(20_000):
        lines.learn(b"Name-%d: %d" % (number, number))
    assert 0 < len(lines.known) <= 8192


def test_lists() -> None:
    assert tokens(b" Close ,, Upgrade\t,x") == [b"close", b"upgrade", b"x"]
    assert tokens(b" ,\t,") == []
    assert without([b"A: 1", b"b: 2", b"AB: 3"], frozenset({b"a"})) == [b"b: 2", b"AB: 3"]
