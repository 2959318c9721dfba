"""What is decided where the data lies, in one step. Lua, on Valkey or Redis from version 7 on.

A scope (an upstream, or a tenant's part of one) has one hash, its state:

    i    which server wrote it: its process and its history
    g    the generation, made up anew with each state
    c    the clock: how many changes there were
    ##   two bytes, a slot that names are hashed to: the clock when something with such a name was last changed

It is one key, so that it is lost as a whole or not at all, by eviction too; and whoever finds none, or one that another
server process wrote, before a restart from a snapshot or as a primary that is gone, begins another generation. Then
nothing that was stored before is valid. What is stored carries the generation and the clock from before it was asked
for, and the slots of what it shows. All keys of a scope have its name in braces and so lie on one server of a cluster.
"""

from collections.abc import Iterable
from typing import Final
from zlib import crc32

from services.gateway.caching.second.link import Script

SLOTS: Final = 1 << 16
MOST_NAMES: Final = 256
"""What shows more is not stored."""
STATE_MS: Final = 86_400_000
"""A state lives for a day, whatever happens; so it does not grow for ever."""

# Keys: state, entry. Arguments: the server's identity, a new generation.
# Answers one string, as each part of a list would cost its reader 2.5 µs: generation, clock, seconds, microseconds and
# what was found (0 nothing, 1 what is out of date, 2 an answer), with spaces between; a line end; and the answer.
LOOK: Final = Script(f"""
local state = redis.pcall('HMGET', KEYS[1], 'i', 'g', 'c')
local now = redis.call('TIME')
local function told(generation, clock, what)
  return generation .. ' ' .. clock .. ' ' .. now[1] .. ' ' .. now[2] .. ' ' .. what .. '\\n'
end
if state.err or state[1] ~= ARGV[1] then
  redis.call('UNLINK', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[1], 'i', ARGV[1], 'g', ARGV[2], 'c', 0)
  redis.call('PEXPIRE', KEYS[1], {STATE_MS})
  return told(ARGV[2], 0, 0)
end
local entry = redis.pcall('HMGET', KEYS[2], 'g', 'c', 's')
if not entry.err and not entry[1] then
  return told(state[2], state[3], 0)
end
local clock = not entry.err and entry[1] == state[2] and entry[3] and #entry[3] % 2 == 0 and tonumber(entry[2])
if clock then
  local slots = {{}}
  for at = 1, #entry[3], 2 do slots[#slots + 1] = string.sub(entry[3], at, at + 1) end
  for _, changed in ipairs(#slots > 0 and redis.call('HMGET', KEYS[1], unpack(slots)) or {{}}) do
    if changed and clock and (tonumber(changed) or math.huge) > clock then clock = nil end
  end
end
if not clock then
  redis.call('UNLINK', KEYS[2])
  return told(state[2], state[3], 1)
end
return told(state[2], state[3], 2) .. (redis.call('HGET', KEYS[2], 'a') or '')
""")

# Keys: state, entry. Arguments: generation, clock, slots, the answer, milliseconds to live. Answers 1 if it was stored.
STORE: Final = Script("""
if redis.call('HGET', KEYS[1], 'g') ~= ARGV[1] then return 0 end
local slots = {}
for at = 1, #ARGV[3], 2 do slots[#slots + 1] = string.sub(ARGV[3], at, at + 1) end
local clock = tonumber(ARGV[2])
for _, changed in ipairs(#slots > 0 and redis.call('HMGET', KEYS[1], unpack(slots)) or {}) do
  if changed and tonumber(changed) > clock then return 0 end
end
redis.call('HSET', KEYS[2], 'g', ARGV[1], 'c', ARGV[2], 's', ARGV[3], 'a', ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return 1
""")

# Keys: state. Arguments: slots. Answers the clock, or nothing where nothing can be valid anyway.
CHANGE: Final = Script("""
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local clock = redis.call('HINCRBY', KEYS[1], 'c', 1)
local fields = {}
for at = 1, #ARGV[1], 2 do
  fields[#fields + 1] = string.sub(ARGV[1], at, at + 1)
  fields[#fields + 1] = clock
end
redis.call('HSET', KEYS[1], unpack(fields))
return clock
""")


def slots_of(names: Iterable[bytes]) -> bytes:
    """Two bytes for each name's slot."""
    return b"".join([slot.to_bytes(2, "big") for slot in {crc32(name) % SLOTS for name in names}])
