"""The gateway's cache: what may be kept and used again, what makes it out of date, what is dropped for want of room.

caches        those of all routes, and what keeps them up to date
cache         a route's cache at work: what is asked of it before a request goes forward
filling       what it makes of the answers
rule          what a route may choose of it
audiences     whom callers share answers with
fetch         requests on their way for what is not stored, and those who wait for them
resource      what is stored under one key: answers, and their bodies
presentation  what callers get of a stored answer; pure
telling       what counters, traces and operators are told; pure
http          what HTTP says of caches: freshness, validation, variants, invalidation; pure
store         the entries of one cache: bounded by bytes, dropped by tag, key or prefix; pure
memory        what things occupy; pure
eviction      which of them goes when there is no more room, and what the other policies would have scored; pure
coherence     what becomes of stored answers when something changes
stamps        when what was last changed, as all workers of a machine know
following     changes that do not pass this gateway, from the services' feeds
second        a second level in Valkey or Redis, which gateways share
"""
