"""Whom a write waits for."""

from services.gateway.caching.peers.notice import Notice


def test_it_waits_for_everybody() -> None:
    notice = Notice()
    assert not notice.told({"a", "b"})
    assert not notice.acknowledged("a")
    assert notice.state == "silent"
    assert notice.acknowledged("b")


def test_nobody_else_means_nobody_to_wait_for() -> None:
    assert Notice().told(())


def test_acknowledgements_may_come_first() -> None:
    notice = Notice()
    assert not notice.acknowledged("a")
    assert not notice.told({"a", "b"})
    assert notice.acknowledged("b")


def test_an_acknowledgement_of_somebody_else_counts_for_nothing() -> None:
    notice = Notice()
    notice.told({"a"})
    assert not notice.acknowledged("b")


def test_while_nobody_knows_who_all_are_it_is_never_through() -> None:
    notice = Notice()
    assert notice.state == "unreachable"
    assert not notice.told(None)
    assert not notice.acknowledged("a")
    assert (notice.through, notice.state) == (False, "unsettled")
