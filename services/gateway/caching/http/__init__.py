"""What HTTP says of caches, as pure functions: RFC 9111, 5861, 9211 and 9213.

`decision` composes the others into the calls that the data path makes. Times: `*_ns` are nanoseconds of a monotonic
clock, `*_s` whole seconds, and `wall_s` seconds since the epoch, which only dates in header fields need.
"""
