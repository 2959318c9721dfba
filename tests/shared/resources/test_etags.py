"""Entity tags: made of the version, compared as RFC 9110 says."""

import pytest

from shared.problems import Problem
from shared.resources.etags import check_if_match, entity_tag, not_modified


def test_the_plain_representation_is_tagged_by_its_version() -> None:
    assert entity_tag(7, b"{}", whole=True) == '"7"'


def test_a_selection_is_tagged_by_its_bytes_as_well() -> None:
    one, other = (entity_tag(7, body, whole=False) for body in (b"{}", b'{"a":1}'))
    assert one != other
    assert one.startswith('"7-')


@pytest.mark.parametrize("header", ['"7"', "*", " * ", 'W/"7"', '"1", "7"', '"a,b", W/"7"', '"7","8"'])
def test_whoever_has_it_already_gets_nothing(header: str) -> None:
    assert not_modified(header, '"7"')


@pytest.mark.parametrize("header", [None, '"8"', "7", "", '"77"', '"7-0123456789abcdef"', "'7'"])
def test_whoever_has_another_gets_it(header: str | None) -> None:
    assert not not_modified(header, '"7"')


@pytest.mark.parametrize("header", [None, "*", '"7"', '"1", "7"', '"7-0123456789abcdef"'])
def test_the_current_version_may_change(header: str | None) -> None:
    check_if_match(header, 7)


@pytest.mark.parametrize("header", ['"8"', 'W/"7"', '"07"', '"7-x"', '"x"', '"77"', '"-7"', '"7\u00e4"'])
def test_another_version_may_not(header: str) -> None:
    with pytest.raises(Problem) as caught:
        check_if_match(header, 7)
    assert caught.value.status == 412


@pytest.mark.parametrize("header", ["7", "", '"7', "'7'"])
def test_what_is_no_tag_is_refused(header: str) -> None:
    with pytest.raises(Problem) as caught:
        check_if_match(header, 7)
    assert (caught.value.status, caught.value.code) == (400, "bad_if_match")
