import cython


@cython.final
cdef class LatencyHistogram:
    cdef public long long _began
    cdef public list _counts
    cdef public long long _half_life_ns
    cdef public object _weight


@cython.final
cdef class Hedging:
    cdef public object _budget
    cdef public object _delay_ns
    cdef public LatencyHistogram _histogram
    cdef public long long _min_delay_ns
    cdef public long long _refresh_at
    cdef public long long _refresh_ns
    cdef public object _rule
    cdef public object on_latency
    cdef public object on_request

    cpdef object delay_ns(self, long long now)
