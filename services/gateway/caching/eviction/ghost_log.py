"""What the ghost caches saw last, and what is concluded of it, wherever there is time for that. Pure."""

from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from services.gateway.caching.eviction.optimum import Request, optimum_hits

RENEWED: Final = 1 << 7
"""Among a request's hits: a ghost cache held it, but what it held was out of date."""


@dataclass(frozen=True, slots=True)
class GhostLog:
    """A ring of sampled requests, the oldest at `first`. A place that was never used has no size.

    `objects` are fingerprints with their version, `sizes` bytes. In `hits` bit n says that the policy with
    `names[n]` had it, and the bit after the last that the one in favour had. `share` is the share of the keys that is
    sampled, `capacity` what a ghost cache holds (bytes), `nodes` how many the fullest does.
    """

    names: tuple[str, ...]
    share: float
    capacity: int
    nodes: int
    favourite: str
    first: int
    objects: "array[int]"
    sizes: "array[int]"
    hits: bytes

    def describe(self) -> dict[str, Any]:
        """For the admin API: hit ratios over the last 4,096 sampled requests or fewer, by policy and at best.

        Computes the optimum, which takes some 10 ms: nothing for the path of a request.
        """
        requests = list(self._requests())
        skipped = len(requests) // 2
        scored = [hits for _, hits in requests[skipped:]]
        best = list(optimum_hits([request for request, _ in requests], self.capacity))[skipped:]
        count = len(scored) or 1
        ratios = {
            name: sum(hits >> n & 1 for hits in scored) / count
            for n, name in enumerate((*self.names, "adaptive"))
        }
        return {
            "share": self.share,
            "requests": len(scored),
            "nodes": self.nodes,
            "favourite": self.favourite,
            "hit_ratios": {name: round(ratio, 4) for name, ratio in ratios.items()},
            "optimum": round(sum(best) / count, 4),
        }

    def as_json(self) -> dict[str, Any]:
        """For another process of this machine: 190 kB."""
        return {
            "names": self.names,
            "share": self.share,
            "capacity": self.capacity,
            "nodes": self.nodes,
            "favourite": self.favourite,
            "first": self.first,
            "objects": b64encode(self.objects).decode("ascii"),
            "sizes": b64encode(self.sizes).decode("ascii"),
            "hits": b64encode(self.hits).decode("ascii"),
        }

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> "GhostLog":
        """As `as_json` has it."""
        return cls(
            **{
                **told,
                "names": tuple(told["names"]),
                "objects": array("Q", b64decode(told["objects"])),
                "sizes": array("Q", b64decode(told["sizes"])),
                "hits": b64decode(told["hits"]),
            }
        )

    def _requests(self) -> Iterator[tuple[Request, int]]:
        """From the oldest."""
        count = len(self.sizes)
        for at in range(self.first, self.first + count):
            size = self.sizes[at % count]
            if size:
                hits = self.hits[at % count]
                yield Request(self.objects[at % count], size, bool(hits & RENEWED)), hits
