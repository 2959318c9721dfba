import cython

from services.gateway.balancing.endpoint cimport Endpoint


@cython.final
cdef class Balancer:
    cdef public tuple _endpoints
    cdef public object _policy
    cdef public object _remote_policy
    cdef public object _retry_policy
    cdef public object _choose
    cdef public object _usable
    cdef public object _why_not
    cdef public object _rules
    cdef public dict _since
    cdef public bint _seen_before
    cdef public tuple _candidates
    cdef public tuple _remote
    cdef public double _spilling
    cdef public double _spilled
    cdef public bint _panic
    cdef public long long _refresh_at_ns

    @cython.locals(candidates=tuple)
    cpdef Endpoint pick(self, long long now_ns, bytes key=*, object excluding=*)
