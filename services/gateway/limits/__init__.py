"""How much a caller may ask: sizes of one request, and requests per time.

token_bucket    one bucket. Pure
rate_limiter    the buckets of all callers, from which all workers take
shared_table    numbers by name, in memory that all workers share
shared          the tables that there are
sizes, timeouts bounds on one request. Pure
"""
