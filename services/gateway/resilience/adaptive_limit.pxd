import cython


@cython.final
cdef class AdaptiveLimit:
    cdef public double _chance
    cdef public long long _epoch_ns
    cdef public bint _limited
    cdef public double _log_latency
    cdef public double _log_squares
    cdef public long long _needed
    cdef public long long _overloads
    cdef public long long _peak
    cdef public object _probe_at
    cdef public object _probe_from
    cdef public double _probe_latency
    cdef public object _rule
    cdef public long long _samples
    cdef public double _shrinking_from
    cdef public double _size
    cdef public double _tolerance
    cdef public long long _window_ends
    cdef public long long _window_ns
    cdef public long long _window_starts
    cdef public double latency_ns
    cdef public long long limit
    cdef public double reference_ns

    @cython.locals(log_latency=double)
    cpdef object on_result(self, long long now, long long latency_ns, object outcome, long long in_flight)
