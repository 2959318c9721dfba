import cython


@cython.final
cdef class _Record:
    cdef public long long ejected_until
    cdef public str endpoint_id
    cdef public long long error_run
    cdef public long long failures
    cdef public long long gateway_error_run
    cdef public double log_latency
    cdef public long long multiplier
    cdef public str reason
    cdef public long long slow_intervals
    cdef public long long successes

    cpdef object start_afresh(self)
    cpdef object start_interval(self)
    cpdef object went_well(self, long long latency_ns)


@cython.final
cdef class OutlierDetector:
    cdef public long long _interval_ends
    cdef public long long _interval_ns
    cdef public object _random
    cdef public dict _records
    cdef public object _rule

    @cython.locals(record=_Record)
    cpdef object went_well(self, str endpoint_id, long long latency_ns)
    @cython.locals(record=_Record)
    cpdef object on_result(self, str endpoint_id, long long now, object outcome, long long latency_ns)
