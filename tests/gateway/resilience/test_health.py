"""Health thresholds."""

import pytest

from services.gateway.resilience.health import HealthRule, ReplicaHealth

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
