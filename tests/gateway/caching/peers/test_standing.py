"""Until when a gateway may use what it has stored."""

from services.gateway.caching.peers.rule import PeersRule
from services.gateway.caching.peers.standing import Standing

RULE = PeersRule(freshness_ns=100, lease_ns=300)


def kept(sent_ns: int, now_ns: int) -> Standing:
    standing = Standing(RULE, registers=True)
    standing.renewed(sent_ns, now_ns, token="a", entered=True, settled=True)
    return standing


def test_without_a_registry_a_proof_holds_from_when_it_was_asked_for() -> None:
    standing = Standing(RULE, registers=False)
    assert (standing.until_ns("web"), standing.kept(10**9)) == (0, True)
    standing.proven("web", 1_000)
    assert (standing.until_ns("web"), standing.until_ns("other")) == (1_100, 0)
    standing.proven("web", 900)  # it came late
    assert standing.until_ns("web") == 1_100
    standing.forget("web")
    assert standing.until_ns("web") == 0


def test_nothing_is_used_before_it_is_in_the_registry() -> None:
    standing = Standing(RULE, registers=True)
    standing.proven("web", 1_000)
    assert (standing.until_ns("web"), standing.kept(1_000)) == (0, False)


def test_what_was_asked_before_it_was_entered_proves_nothing() -> None:
    standing = kept(1_000, 1_010)
    standing.proven("web", 1_009)
    assert standing.until_ns("web") == 0
    standing.proven("web", 1_010)
    assert standing.until_ns("web") == 1_110


def test_a_lease_runs_from_when_it_was_asked_for_not_from_its_answer() -> None:
    standing = kept(1_000, 1_290)
    standing.proven("web", 1_295)
    assert (standing.until_ns("web"), standing.kept(1_299), standing.kept(1_300)) == (1_300, True, False)


def test_who_is_kept_needs_no_new_proof() -> None:
    standing = kept(1_000, 1_010)
    standing.proven("web", 1_250)
    standing.renewed(1_260, 1_270, token="a", entered=False, settled=True)
    assert (standing.until_ns("web"), standing.entries) == (1_350, 1)


def test_who_may_have_been_struck_off_meanwhile_proves_anew() -> None:
    standing = kept(1_000, 1_010)
    standing.proven("web", 1_290)
    standing.renewed(1_300, 1_310, token="a", entered=False, settled=True)
    assert (standing.until_ns("web"), standing.entries) == (0, 2)
    standing.proven("web", 1_310)
    assert standing.until_ns("web") == 1_410


def test_another_registry_has_not_had_it_before() -> None:
    standing = kept(1_000, 1_010)
    standing.proven("web", 1_015)
    standing.renewed(1_020, 1_030, token="b", entered=False, settled=True)
    assert standing.until_ns("web") == 0


def test_in_a_registry_that_is_not_settled_nothing_is_used() -> None:
    standing = kept(1_000, 1_010)
    standing.renewed(1_020, 1_030, token="b", entered=True, settled=False)
    standing.proven("web", 1_040)
    assert (standing.until_ns("web"), standing.kept(1_040)) == (0, False)
    standing.renewed(1_050, 1_060, token="b", entered=False, settled=True)
    standing.proven("web", 1_070)
    assert standing.until_ns("web") == 1_170


def test_an_answer_that_comes_late_shortens_nothing() -> None:
    standing = kept(1_000, 1_010)
    standing.renewed(1_100, 1_110, token="a", entered=False, settled=True)
    standing.renewed(1_050, 1_120, token="a", entered=False, settled=True)
    assert standing.kept(1_399)


def test_writers_wait_longer_than_others_may_use_what_they_have() -> None:
    rule = PeersRule()
    # By a clock that runs a thousandth too fast, and a timer of a millisecond.
    assert rule.wait_ns * 999 // 1000 - 1_000_000 > rule.freshness_ns
    assert rule.silence_ns * 999 // 1000 > rule.lease_ns
    assert rule.settle_ns >= 2 * rule.silence_ns
