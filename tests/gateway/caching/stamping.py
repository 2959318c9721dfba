"""`python -m tests.gateway.caching.stamping FD ROW COUNT`: a worker that stamps, and says what it has stamped.

It stamps `<row>/0` and so on, and prints each number afterwards. Told `tell` then, it prints how many of the stamps of
row 0 and 1 it does not know of.
"""

import sys
from time import perf_counter_ns

from services.gateway.caching.stamps import Stamps

SCOPE = b"customers/somebody"


def tag(row: int, number: int) -> bytes:
    """What is stamped, one after the other."""
    return b"%d/%d" % (row, number)


def missed(stamps: Stamps, row: int, count: int, since_ns: int) -> list[int]:
    """The numbers of a row's stamps that are not seen."""
    return [n for n in range(count) if not stamps.changed_since(stamps.slots(SCOPE, [tag(row, n)]), since_ns)]


def main() -> None:
    descriptor, row, count = map(int, sys.argv[1:])
    stamps = Stamps.open(descriptor, row)
    begun_ns = perf_counter_ns() + 1
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(count):
        stamps.stamp(SCOPE, [tag(row, number)], perf_counter_ns())
        print(number, flush=True)
        stamps.catch_up()
    sys.stdin.readline()
    print(sum(len(missed(stamps, one, count, begun_ns)) for one in (0, 1)), stamps.lapped, flush=True)
    stamps.close()


if __name__ == "__main__":
    main()
