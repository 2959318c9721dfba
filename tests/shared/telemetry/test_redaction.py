import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.telemetry.redaction import REDACTED, plain_path, plain_target, plain_url

ID = "0192f0c1-7c1e-7cc5-b1a5-6d1f1e6a0001"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/v1/accounts",
        f"/v1/accounts/{ID}",
        f"/v1/deals/{ID}/stage-changes/",
        "/v1/contacts/by-external-id/sap/cust-4711",
        "/openapi/customers.json",
        "/things/7",
        "/a" * 256,
    ],
)
def test_what_is_ours_stays(path: str) -> None:
    assert plain_path(path) == path


@pytest.mark.parametrize(
    "segment",
    [
        "jane.doe@example.com",
        "jane.doe",
        "jane%40example.com",
        "Zanzibar",
        "J%C3%B6rg",
        "Jörg",
        "+491701234567",
        "00491701234567",
        "0170-1234567",
        "kontor_wJ8s0Tq",
        "sk_live_51h8a2",
        "eyJhbGciOiJFZERTQSJ9.eyJz.c2ln",
        "a" * 33,
        ID.upper(),
        " ",
    ],
)
def test_what_could_be_somebodys_is_replaced(segment: str) -> None:
    assert plain_path(f"/v1/contacts/{segment}/events") == f"/v1/contacts/{REDACTED}/events"


@given(st.text(max_size=600))
def test_whatever_comes_is_short_and_plain_and_stays_so(path: str) -> None:
    plain = plain_path(path)
    assert len(plain) <= 512
    assert plain.isascii()
    assert plain.isprintable()
    assert plain_path(plain).replace(REDACTED, "") == plain.replace(REDACTED, "")


def test_of_a_query_the_usual_names_stay() -> None:
    url = "http://jane:secret@replica:8001/v1/contacts?q=Jane&filter[email]=a@b.c&filter%5Bname%5D=J&fields&#jane"
    assert plain_url(url) == (
        "http://replica:8001/v1/contacts"
        "?q=REDACTED&filter[email]=REDACTED&filter%5Bname%5D=REDACTED&fields=REDACTED"
    )


@pytest.mark.parametrize(
    "name", ["jane%40example.com", "jane@example.com", "Jane", "0170-1234567", "jane.doe"]
)
def test_a_name_that_is_somebodys_goes_as_well(name: str) -> None:
    assert plain_url(f"http://h:1/v1/x?{name}") == "http://h:1/v1/x?REDACTED=REDACTED"


@pytest.mark.parametrize(
    ("target", "plain"),
    [
        ("/v1/x", "/v1/x"),
        ("/v1/x?", "/v1/x"),
        ("/v1/x?limit=5&&q=Jane#q?", "/v1/x?limit=REDACTED&q=REDACTED"),
        ("/v1/Jane?a=http://h/?b=c", "/v1/REDACTED?a=REDACTED"),
        ("*", "REDACTED"),
    ],
)
def test_a_target_is_a_url_without_its_host(target: str, plain: str) -> None:
    assert plain_target(target) == plain
