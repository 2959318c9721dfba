import cython

from services.gateway.balancing.endpoint cimport Endpoint


@cython.final
cdef class Adaptive:
    cdef public object _rng
    cdef public object _candidates
    cdef public long long _renew_at_ns
    cdef public tuple _ring

    @cython.locals(ring=tuple, count=Py_ssize_t, start=Py_ssize_t, one=Endpoint, chosen=Endpoint, cost=double, score=double, least=double)
    cpdef Endpoint choose(self, object candidates, long long now_ns, bytes key=*)
