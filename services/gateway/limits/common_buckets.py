"""The buckets that several gateways have in common, in a Valkey or Redis from version 7 on.

A bucket is 16 bytes: what is owed, in microseconds of growing tokens, and when that was by the server's clock. No other
clock is read and only durations travel, so that nobody's clock has to agree with another's. Should the server's be set
back, what is owed just does not shrink for a moment; set forward, it shrinks.

What arrives was spent a while ago, and the bucket was filling in that while: so it is let be fuller than full, by a
lag that makes up for everything that arrives within that time. A bucket that was left alone until then is not kept.
"""

import struct
from hashlib import blake2b
from typing import Any, Final

from services.gateway.caching.second.link import Script
from services.gateway.limits.reckoning import Spending
from services.gateway.limits.token_bucket import Rate

_NUMBER_BYTES: Final = 8
_MOST_OWED_US: Final = 1e15  # 30 years; a thousand of the slowest and largest buckets

# Keys: buckets. Arguments: the lag, and what was spent of each bucket, as doubles in one string; all in microseconds.
# Answers what is owed now of each, as doubles in one string: each part of a list would cost its reader 2.5 µs.
SPEND: Final = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local lag = tonumber(ARGV[1])
local known = redis.call('MGET', unpack(KEYS))
local told, place = {}, 1
for number, key in ipairs(KEYS) do
  local owed, spent = -lag, 0
  if known[number] and #known[number] == 16 then
    local before, since = struct.unpack('<dd', known[number])
    owed = math.max(before - math.max(now - since, 0), -lag)
  end
  spent, place = struct.unpack('<d', ARGV[2], place)
  owed = owed + spent
  if spent > 0 then
    redis.call('SET', key, struct.pack('<dd', owed, now), 'PX', math.ceil((owed + lag) / 1000))
  end
  told[number] = struct.pack('<d', owed)
end
return table.concat(told)
""")


def arguments(spending: Spending) -> tuple[int, bytes]:
    """What `SPEND` is to be told, beside the keys."""
    return spending.lag_us, struct.pack(f"<{len(spending.spent_us)}d", *spending.spent_us)


def read_owed(answer: Any, count: int) -> list[int]:
    """What is owed of each bucket, in nanoseconds, by `SPEND`'s answer. Raises `ValueError` if that is none.

    What nobody can owe was not written by us, and counts as nothing.
    """
    if not isinstance(answer, bytes) or len(answer) != count * _NUMBER_BYTES:
        raise ValueError(f"does not tell of {count} buckets: {answer!r:.100}")
    owed = struct.unpack(f"<{count}d", answer)
    return [int(owed_us * 1000) if abs(owed_us) < _MOST_OWED_US else 0 for owed_us in owed]


class BucketNames:
    """What the buckets of one rate are called: those of another one are others, and begin full.

    They all have one part of their names in braces, so that a cluster keeps them on one server. A caller is named by
    a digest, which gives all names one length and one alphabet; it is no secret, as addresses can be guessed.
    """

    def __init__(self, prefix: str, rate: Rate) -> None:
        self.common = b"{%b:rates}" % prefix.encode("ascii")
        self._begin = b"%b:%d/%d:" % (self.common, rate.per_second, rate.burst)

    def of(self, caller: str) -> bytes:
        """The key of a caller's bucket."""
        return self._begin + blake2b(caller.encode(), digest_size=16).hexdigest().encode("ascii")
