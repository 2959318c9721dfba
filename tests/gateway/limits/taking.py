"""`python -m tests.gateway.limits.taking DESCRIPTOR SLOTS ROW BURST`: a worker that takes a caller's tokens.

It says `ready`; told to, it takes until there are none, and prints each one that it was given. The rate is so low that
none grows meanwhile.
"""

import sys

from services.gateway.limits.rate_limiter import RateLimiter
from services.gateway.limits.shared_table import SharedTable
from services.gateway.limits.token_bucket import Rate

CALLER = "somebody"


def limiter(descriptor: int, slots: int, row: int, burst: int) -> RateLimiter:
    """As the worker with this row has it."""
    table = SharedTable.open(descriptor, slots, row)
    # A token grows in a second; the clock stands still.
    return RateLimiter(Rate(1, burst), table, clock_ns=lambda: 1_000_000_000_000)


def main() -> None:
    made = limiter(*map(int, sys.argv[1:]))
    made.peek(CALLER)
    print("ready", flush=True)
    sys.stdin.readline()
    while made.take(CALLER).allowed:
        print(1, flush=True)
    print("empty", flush=True)


if __name__ == "__main__":
    main()
