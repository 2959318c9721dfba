import cython


@cython.final
cdef class Endpoint:
    cdef public object replica
    cdef public long long active
    cdef public long long requests
    cdef public long long answers
    cdef public long long failures
    cdef public long long ended_at_ns
    cdef public double failure_share
    cdef public double live_weight
    cdef public double slow_start
    cdef public double weight
    cdef public double latency_ns
    cdef public long long latency_at_ns
    cdef public double pace_ns
    cdef public double others
    cdef public object report
    cdef public long long report_at_ns

    cpdef object began(self, long long now_ns)
    @cython.locals(active="long long", answers="long long", known=double, kept=double, pace=double)
    cpdef object ended(self, long long now_ns, long long latency_ns, bint ok)
    cpdef object abandoned(self, long long now_ns, long long latency_ns)
    cdef object _slower(self, double pace)
    @cython.locals(others=double)
    cpdef object reported(self, object report, long long now_ns)
    cpdef object reweigh(self)
    cpdef double latency(self, long long now_ns)
