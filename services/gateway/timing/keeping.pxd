import cython

from services.gateway.resilience.hedging cimport LatencyHistogram


cdef class _Slow


@cython.final
cdef class Share:
    cdef public bint _all
    cdef public bytes _bound

    cpdef bint has(self, bytes trace_id)


@cython.final
cdef class Keeping:
    cdef public long long _recent_at_ns
    cdef public long long _recent_every_ns
    cdef public list _recordings
    cdef public object _rule
    cdef public Share _share
    cdef public dict _slow

    cpdef str before(self, bytes trace_id, str route, object tenant, long long now_ns)
    @cython.locals(known=_Slow, slow=bint)
    cpdef str after(self, str before, str route, long long total_ns, bint failed, long long now_ns)
    cdef _Slow _learn(self, str route, long long now_ns)


@cython.final
cdef class _Slow:
    cdef public LatencyHistogram _histogram
    cdef public long long _refresh_at_ns
    cdef public object _rule
    cdef public long long _threshold_ns

    @cython.locals(histogram=LatencyHistogram)
    cpdef bint judge(self, long long total_ns, long long now_ns)
    cdef object _refresh(self, LatencyHistogram histogram, long long now_ns)
