"""Health thresholds, the board and the retry rule."""

import itertools

import pytest

from services.gateway.balancing.policy import Replica
from services.gateway.forwarding.failures import FailureKind
from services.gateway.resilience.board import Board, Upstream
from services.gateway.resilience.health import HealthRule, ReplicaHealth
from services.gateway.resilience.retry import may_retry

RULE = HealthRule(healthy_after=2, unhealthy_after=3)


def states(health: ReplicaHealth, checks: str) -> str:
    """`+` and `-` are good and bad checks, `!` a refused connection; `u` and `d` the state after each."""
    seen = ""
    for check in checks:
        if check == "!":
            health.mark_down()
        else:
            health.observe(check == "+")
        seen += "u" if health.healthy else "d"
    return seen


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        ("+", "u"),  # the first good check is enough at the start
        ("--+", "ddu"),
        ("+--+--+---", "uuuuuuuuud"),
        ("+---+-+-++", "uuudddddd" + "u"),
        ("+!+", "udd"),
        ("+!++", "uddu"),
        ("+--!-++", "uuudddu"),
        ("+!+!++", "uddddu"),
    ],
)
def test_thresholds(checks: str, expected: str) -> None:
    assert states(ReplicaHealth(RULE), checks) == expected


def test_changes_are_reported_once() -> None:
    health = ReplicaHealth(RULE)
    assert [health.observe(ok) for ok in (True, True, False, False, False, False)] == [
        *(True, False),
        *(False, False, True, False),
    ]
    assert not health.mark_down()


def test_the_board_picks_among_the_healthy() -> None:
    replicas = tuple(Replica("u", "h", port) for port in (1, 2))
    board = Board({"u": Upstream("u", "u", replicas, HealthRule())})
    assert board.pick("u") is None
    assert board.lacking() == ["u"]
    board.observe(replicas[0], True, "")
    assert [board.pick("u") for _ in range(3)] == [replicas[0]] * 3
    board.observe(replicas[1], True, "")
    assert {board.pick("u") for _ in range(2)} == set(replicas)
    assert board.pick("u", excluding=replicas[:1]) == replicas[1]
    assert board.pick("u", excluding=replicas) is None
    board.mark_down(replicas[0], "")
    assert board.healthy("u") == [replicas[1]]
    assert board.lacking() == []


def test_the_retry_rule_in_full() -> None:
    allowed = {
        (kind, idempotent, replayable, retries)
        for kind, idempotent, replayable, retries in itertools.product(
            FailureKind, (False, True), (False, True), (0, 1)
        )
        if may_retry(kind, idempotent=idempotent, replayable=replayable, retries=retries)
    }
    refused = set(itertools.product([FailureKind.REFUSED], (False, True), (False, True), (0, 1)))
    assert allowed == refused | {(FailureKind.BROKEN, True, True, 0)}
