"""How much a caller may ask: sizes of one request, and requests per time.

token_bucket    one bucket. Pure
rate_limiter    the buckets of all callers, from which all workers take
shared_table    numbers by name, in memory that all workers share
shared          the tables that there are
common          limits that several gateways hold together, if they are told to
common_rule     what a document may choose of that
common_buckets  the buckets that they have in common, at a Valkey or Redis
reckoning       who is to be told of there, and what comes of the answers. Pure
stepping        one worker does so, ten times a second
sizes, timeouts bounds on one request. Pure
"""
