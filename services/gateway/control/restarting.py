"""When a worker that died is started again. Pure."""

STABLE_S = 10.0
_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 5.0


class RestartDelay:
    """At once after a good life and the first time; then with a delay that doubles with each early death."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def after(self, lived_s: float) -> float:
        """Seconds to wait before the next start, after a life of so many."""
        if lived_s >= STABLE_S:
            self._next_s = 0.0
        delay_s = self._next_s
        self._next_s = min(2 * delay_s or _FIRST_DELAY_S, _LONGEST_DELAY_S)
        return delay_s
