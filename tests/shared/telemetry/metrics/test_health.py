from shared.telemetry.metrics.health import LoopLag, ServingTime

SECOND = 1_000_000_000


def test_the_longest_lag_of_the_last_second() -> None:
    lag = LoopLag()
    assert lag.longest_ns(0) == 0
    for tenth, late in enumerate([3, 50, 20, 7, 9, 1]):
        lag.saw(tenth * SECOND // 10, late)
    assert lag.longest_ns(SECOND) == 50
    assert lag.longest_ns(SECOND + SECOND // 10) == 20
    assert lag.longest_ns(SECOND + SECOND * 2 // 10) == 9
    assert lag.longest_ns(10 * SECOND) == 0


def test_a_clock_that_wakes_too_early_is_no_negative_lag() -> None:
    lag = LoopLag()
    lag.saw(5, -3)
    assert lag.longest_ns(5) == 0


def test_only_readiness_is_serving() -> None:
    serving = ServingTime()
    assert serving.served_ns(100) == 0
    serving.found(True, 100)
    serving.found(True, 150)
    assert serving.served_ns(170) == 70
    serving.found(False, 180)
    assert serving.served_ns(500) == 80
    serving.found(False, 600)
    serving.found(True, 1_000)
    assert serving.served_ns(1_005) == 85
