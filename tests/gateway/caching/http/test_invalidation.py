"""What writes invalidate: RFC 9111 4.4."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.caching.http.invalidation import invalidated


def targets(
    method: bytes = b"POST",
    status: int = 201,
    host: bytes = b"crm.example",
    target: bytes = b"/v1/accounts?x=1",
    **fields: bytes,
) -> list[bytes]:
    answer = {name.replace("_", "-").encode(): value for name, value in fields.items()}
    return list(invalidated(method, status, answer, scheme=b"https", host=host, target=target))


OWN = b"/v1/accounts?x=1"


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH", b"DELETE", b"FROB", b"get"])
@pytest.mark.parametrize("status", [200, 201, 204, 303, 399])
def test_4_4_an_unsafe_or_unknown_method_that_succeeds_invalidates_its_target(
    method: bytes, status: int
) -> None:
    assert targets(method, status) == [OWN]


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"TRACE"])
def test_4_4_safe_methods_invalidate_nothing(method: bytes) -> None:
    assert targets(method, location=b"/v1/accounts/7") == []


@pytest.mark.parametrize("status", [100, 199, 400, 404, 409, 500, 503])
def test_4_4_errors_invalidate_nothing(status: int) -> None:
    assert targets(status=status, location=b"/v1/accounts/7") == []


@pytest.mark.parametrize("field", ["location", "content_location"])
@pytest.mark.parametrize(
    ("reference", "target"),
    [
        (b"/v1/accounts/7", b"/v1/accounts/7"),
        (b"https://crm.example/v1/accounts/7?a=b#c", b"/v1/accounts/7?a=b"),
        (b"HTTPS://CRM.EXAMPLE:443/a", b"/a"),
        (b"//crm.example/a", b"/a"),
        (b"accounts/7", b"/v1/accounts/7"),
        (b"../v2/a", b"/v2/a"),
        (b"?y=2", b"/v1/accounts?y=2"),
        (b"https://crm.example", b"/"),
    ],
)
def test_4_4_location_and_content_location_of_the_same_origin_too(
    field: str, reference: bytes, target: bytes
) -> None:
    assert targets(**{field: reference}) == [OWN, target]  # type: ignore[arg-type] # a field's value


@pytest.mark.parametrize(
    "reference",
    [
        *(
            b"http://crm.example/a",
            b"https://other.example/a",
            b"https://crm.example:8443/a",
            b"//other.example/a",
        ),
        *(b"https://crm.example.evil/a", b"https://crm.example@evil.example/a", b"https://crm.example:x/a"),
        *(b"https://[::1/a", b"mailto:a@crm.example", b"https://crm.example:99999/a"),
    ],
)
def test_4_4_nothing_of_another_origin_is_invalidated(reference: bytes) -> None:
    assert targets(location=reference, content_location=reference) == [OWN]


def test_4_4_both_fields_and_no_target_twice() -> None:
    assert targets(location=b"/a", content_location=b"/b") == [OWN, b"/a", b"/b"]
    assert targets(location=OWN, content_location=b"#x") == [OWN]


@given(st.binary(max_size=40), st.sampled_from([b"crm.example", b"crm.example:8000", b"[::1]:80"]))
def test_4_4_whatever_a_location_is_the_target_goes(reference: bytes, host: bytes) -> None:
    assert targets(location=reference, host=host)[0] == OWN
