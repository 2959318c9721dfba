"""What could have been hit at best: Belady's algorithm over requests that are known. Pure.

Belady, "A study of replacement algorithms for a virtual-storage computer", 1966. With differing sizes it is no longer
the optimum (that is NP-hard) but a good and customary estimate of it.
"""

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from typing import NamedTuple


class Request(NamedTuple):
    """Of one object: `renewed` says that whatever was stored of it before could not be used any more."""

    object_id: int
    size: int
    renewed: bool = False


def optimum_hits(requests: Sequence[Request], capacity: int) -> Iterator[bool]:
    """For each request whether it is a hit, from an empty cache of `capacity` bytes. O(n log n).

    What is needed again last leaves first. An object of which no further use is known is never stored.
    """
    following = _following_uses(requests)
    held: dict[int, tuple[int, int]] = {}  # object -> its next use, its size
    furthest: list[
        tuple[int, int]
    ] = []  # a heap of (-next use, object), with what is out of date still in it
    used = 0
    for request, next_use in zip(requests, following, strict=True):
        object_id, size, renewed = request
        previous = held.pop(object_id, None)
        if previous is not None:
            used -= previous[1]
        yield previous is not None and not renewed
        if next_use == len(requests) or size > capacity:
            continue
        held[object_id] = next_use, size
        used += size
        heappush(furthest, (-next_use, object_id))
        while used > capacity:
            use, victim = heappop(furthest)
            if victim in held and held[victim][0] == -use:
                used -= held.pop(victim)[1]


def _following_uses(requests: Sequence[Request]) -> list[int]:
    never = len(requests)
    following = [never] * never
    seen: dict[int, int] = {}
    for index in range(never - 1, -1, -1):
        object_id = requests[index].object_id
        following[index] = seen.get(object_id, never)
        seen[object_id] = index
    return following
