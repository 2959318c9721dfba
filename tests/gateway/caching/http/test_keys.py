"""Keys: RFC 9111 2 and 4.1, and that nothing crosses tenants and principals."""

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.gateway.caching.http.keys import (
    Audience,
    Visibility,
    add_variant,
    normalise,
    parse_vary,
    primary_key,
    read_key,
    resource_key,
    select,
    selecting,
)
from services.gateway.caching.http.outcomes import Forwarded
from services.gateway.caching.http.stored import StoredAnswer
from services.gateway.protocol.fields import read_fields
from shared.identity import Identity
from tests.gateway.caching.http.answers import ask, date, stored

NAMES = st.text(max_size=12) | st.sampled_from(["a", "a,b", "b", "a%2cb", "*", "\n", "a\nb", " ", "%"])
TARGETS = st.sampled_from([b"/", b"/v1/a", b"/v1/a?b", b"/v1/a?c", b"/v1/A", b"/v1/%61"])
IDENTITIES = st.builds(
    Identity,
    st.integers(0, 2).map(lambda number: UUID(int=number)),
    NAMES,
    st.frozensets(NAMES, max_size=3),
)


def sees(visibility: Visibility, identity: Identity) -> object:
    """What answers may differ by."""
    return {
        Visibility.EVERYONE: None,
        Visibility.TENANT: identity.tenant_id,
        Visibility.SCOPES: (identity.tenant_id, identity.scopes),
        Visibility.PRINCIPAL: (identity.tenant_id, identity.principal),
    }[visibility]


NOBODY = Identity(UUID(int=0), "")


@given(*(st.tuples(st.sampled_from(Visibility), IDENTITIES, TARGETS) for _ in range(2)))
@example(
    (Visibility.SCOPES, NOBODY, b"/"), (Visibility.SCOPES, replace(NOBODY, scopes=frozenset({""})), b"/")
)
@example(
    (Visibility.SCOPES, replace(NOBODY, scopes=frozenset({"a,b"})), b"/"),
    (Visibility.SCOPES, replace(NOBODY, scopes=frozenset({"a", "b"})), b"/"),
)
def test_keys_are_equal_exactly_when_everything_that_answers_depend_on_is(
    one: tuple[Visibility, Identity, bytes], other: tuple[Visibility, Identity, bytes]
) -> None:
    keys = [
        primary_key(Audience(who, identity), b"http", b"h", target) for who, identity, target in (one, other)
    ]
    meanings = [(who, sees(who, identity), target) for who, identity, target in (one, other)]
    assert (keys[0] == keys[1]) == (meanings[0] == meanings[1])


@pytest.mark.parametrize("visibility", [Visibility.TENANT, Visibility.SCOPES, Visibility.PRINCIPAL])
def test_without_an_identity_there_are_answers_for_everyone_only(visibility: Visibility) -> None:
    with pytest.raises(ValueError, match="need an identity"):
        Audience(visibility, None)
    assert Audience(Visibility.EVERYONE, None).shared
    identity = Identity(UUID(int=1), "a")
    assert Audience(visibility, identity).shared == (visibility is not Visibility.PRINCIPAL)


@given(IDENTITIES, st.sampled_from(Visibility), TARGETS)
def test_all_keys_of_a_target_begin_with_its_resource_key(
    identity: Identity, visibility: Visibility, target: bytes
) -> None:
    audience = Audience(visibility, identity)
    key = primary_key(audience, b"https", b"Crm.Example", target)
    prefix = resource_key(audience.tenant, b"https", b"crm.EXAMPLE", target)
    assert key.startswith(prefix)
    assert b"\n" not in key.removeprefix(prefix)
    assert not key.startswith(resource_key(audience.tenant, b"https", b"crm.example", target[:-1]))


def test_2_the_target_is_kept_as_it_was_sent() -> None:
    everyone = Audience(Visibility.EVERYONE, None)
    targets = [b"/a", b"/A", b"/a/", b"/a?", b"/%61", b"/a?x=1&y=2", b"/a?y=2&x=1", b"//a", b"/a/."]
    assert len({primary_key(everyone, b"http", b"h", target) for target in targets}) == len(targets)


@pytest.mark.parametrize(
    ("scheme", "host", "same"),
    [
        *(
            (b"http", b"h:80", True),
            (b"http", b"H:0080", True),
            (b"https", b"h:443", True),
            (b"http", b"H", True),
        ),
        *((b"http", b"h:443", False), (b"https", b"h:80", False), (b"http", b"h:8000", False)),
        *((b"http", b"[::80]", False), (b"http", b"h.", False), (b"http", b"h:0", False)),
    ],
)
def test_rfc9110_4_2_3_the_host_s_case_and_the_scheme_s_own_port_make_no_difference(
    scheme: bytes, host: bytes, same: bool
) -> None:
    everyone = Audience(Visibility.EVERYONE, None)
    found = primary_key(everyone, scheme, host, b"/a") == primary_key(everyone, scheme, b"h", b"/a")
    assert found == same


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (None, ()),
        (b"", ()),
        (b"Accept", (b"accept",)),
        (b"b, A,,a ", (b"a", b"b")),
        *((bad, None) for bad in (b"*", b"a, *", b"a b", b"a;q=1", b"\xe9")),
    ],
)
def test_4_1_names_in_vary(value: bytes | None, names: tuple[bytes, ...] | None) -> None:
    assert parse_vary(value) == names


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        (b"accept-encoding", b"gzip, br", b"BR,gzip"),
        (b"accept-encoding", b"gzip;q=0.5 , br", b"br, gzip; q=0.5"),
        (b"accept-language", b"de-CH, en", b"en,de-ch"),
        (b"accept", b"a/b , c/d", b"a/b,c/d"),
    ],
)
def test_4_1_what_means_the_same_matches(name: bytes, one: bytes, other: bytes) -> None:
    assert normalise(name, one) == normalise(name, other)


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        (b"accept-encoding", b"gzip", b"br"),
        (b"accept-encoding", b"gzip;q=0", b"gzip"),
        (b"accept", b'a/b;p="x , y"', b'a/b;p="x,y"'),
        (b"accept", b"a/b, c/d", b"c/d, a/b"),
        (b"x-region", b"eu, us", b"eu,us"),
        (b"x-region", b"eu", b"EU"),
        *((secret, b"one", b"two") for secret in (b"cookie", b"authorization", b"x-api-key")),
    ],
)
def test_4_1_what_may_mean_something_else_does_not(name: bytes, one: bytes, other: bytes) -> None:
    assert normalise(name, one) != normalise(name, other)


def test_4_1_secrets_are_not_kept() -> None:
    answer = stored(b"Cache-Control: max-age=60", b"Vary: Cookie", request=(b"Cookie: session=secret",))
    assert answer.selecting is not None
    assert b"secret" not in repr(answer.selecting).encode()
    assert ask(answer, fields=(b"Cookie: session=secret",)).stored is answer


def variant(vary: bytes, *request: bytes, dated_s: int = 0, after_s: int = 0) -> StoredAnswer:
    lines = [b"Cache-Control: max-age=600", b"Date: " + date(dated_s), *([b"Vary: " + vary] if vary else [])]
    return stored(*lines, request=request, dated=False, after_s=after_s)


def test_4_1_all_fields_that_vary_names_must_match() -> None:
    answer = variant(b"Accept-Encoding, X-Region", b"Accept-Encoding: gzip", b"X-Region: eu")
    assert ask(answer, fields=(b"x-region: eu", b"accept-encoding: GZIP")).stored is answer
    for fields in ((b"X-Region: eu",), (b"X-Region: us", b"Accept-Encoding: gzip"), ()):
        assert ask(answer, fields=fields).forwarded is Forwarded.VARY_MISS


def test_4_1_lines_of_one_name_are_one_value() -> None:
    answer = variant(b"Accept-Encoding", b"Accept-Encoding: gzip, br")
    assert ask(answer, fields=(b"Accept-Encoding: gzip", b"Accept-Encoding: br")).stored is answer


def test_4_1_a_field_that_was_absent_matches_only_where_it_is_absent() -> None:
    absent, empty = variant(b"X-Region"), variant(b"X-Region", b"X-Region:")
    assert ask(absent, empty).stored is absent
    assert ask(absent, empty, fields=(b"X-Region:",)).stored is empty
    assert ask(absent, fields=(b"X-Region:",)).forwarded is Forwarded.VARY_MISS


def test_4_the_latest_by_date_of_several_is_used() -> None:
    old, new = variant(b"X-A", dated_s=-20), variant(b"X-B", dated_s=-10)
    assert ask(old, new).stored is new
    assert ask(new, old).stored is new


def test_4_1_an_answer_without_vary_does_not_stand_for_those_that_vary() -> None:
    plain = variant(b"")
    varying = variant(b"X-Region", b"X-Region: eu", dated_s=-10)
    assert ask(plain, varying, fields=(b"X-Region: eu",)).stored is varying
    assert ask(plain, varying, fields=(b"X-Region: us",)).forwarded is Forwarded.VARY_MISS
    assert ask(plain).stored is plain


def test_variants_replace_their_like_and_are_bounded() -> None:
    variants: tuple[StoredAnswer, ...] = ()
    made = [variant(b"X-Region", b"X-Region: %d" % number, dated_s=number - 10) for number in range(10)]
    for each in made:
        variants = add_variant(variants, each, most=4)
    assert variants == tuple(made[:5:-1])
    assert len(add_variant((variant(b"X-A"),), variant(b"X-B"))) == 2  # both absent, but not the same
    again = variant(b"X-Region", b"X-Region: 7")
    assert add_variant(variants, again, most=4) == (again, made[9], made[8], made[6])


@given(
    st.lists(st.sampled_from([b"", b"X-A", b"X-B", b"X-A, X-B"]), max_size=4),
    st.lists(
        st.tuples(st.sampled_from([None, b"1", b"2"]), st.sampled_from([None, b"1"])), min_size=4, max_size=4
    ),
    st.tuples(st.sampled_from([None, b"1", b"2"]), st.sampled_from([None, b"1"])),
)
def test_4_1_whatever_is_selected_was_stored_for_the_same_values(
    varies: list[bytes],
    sent: list[tuple[bytes | None, bytes | None]],
    asked: tuple[bytes | None, bytes | None],
) -> None:
    def lines(values: tuple[bytes | None, bytes | None]) -> tuple[bytes, ...]:
        return tuple(name + value for name, value in zip((b"X-A: ", b"X-B: "), values, strict=True) if value)

    variants: tuple[StoredAnswer, ...] = ()
    origin: dict[int, tuple[bytes | None, bytes | None]] = {}
    for vary, values in zip(varies, sent, strict=False):
        made = variant(vary, *lines(values))
        origin[id(made)] = values
        variants = add_variant(variants, made)
    found = select(variants, read_fields(lines(asked)))
    if found is None:
        return
    names = parse_vary(b", ".join(found.vary)) or ()
    assert selecting(names, read_fields(lines(origin[id(found)]))) == selecting(
        names, read_fields(lines(asked))
    )


@pytest.mark.parametrize("visibility", list(Visibility))
def test_a_key_can_be_read_but_for_who_it_is_for(visibility: Visibility) -> None:
    identity = Identity(UUID(int=1), "ann\n", frozenset({"a,\n", "b"}))
    audience = Audience(visibility, None if visibility is Visibility.EVERYONE else identity)
    key = primary_key(audience, b"http", b"A:80", b"/x/y?z=//1")
    assert read_key(key) == (audience.tenant, b"http://a/x/y?z=//1", b"/x/y?z=//1", visibility)
