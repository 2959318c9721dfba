import cython

from services.gateway.resilience.adaptive_limit cimport AdaptiveLimit


@cython.final
cdef class ConcurrencyLimiter:
    cdef public AdaptiveLimit _adaptive
    cdef public bint _granting
    cdef public long long _not_empty_since
    cdef public long long _overload_ns
    cdef public tuple _queues
    cdef public object _rejected
    cdef public object _rule
    cdef public long long _wait_ns
    cdef public long long _wait_overloaded_ns
    cdef public long long in_flight
    cdef public long long rejected_count
    cdef public long long waiting

    cpdef object try_acquire(self, long long now, object priority, object notify)
    cpdef object release(self, long long now, long long latency_ns, object outcome)
    cdef object _grant(self, long long now)
