from services.gateway.control.restarting import STABLE_S, RestartDelay


def test_at_once_the_first_time_then_ever_later() -> None:
    delay = RestartDelay()
    assert [delay.after(0.1) for _ in range(8)] == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    assert delay.after(0.1) == 5.0


def test_a_good_life_is_a_new_beginning() -> None:
    delay = RestartDelay()
    for _ in range(5):
        delay.after(0.1)
    assert [delay.after(STABLE_S), delay.after(0.1)] == [0.0, 0.1]
