import cython

from services.gateway.limits.token_bucket cimport Allowance


@cython.final
cdef class RateLimiter:
    cdef public object _rate
    cdef public object _clock_ns
    cdef public Py_ssize_t _max_callers
    cdef public object _full_at
    cdef public bytes _lines

    cpdef Allowance take(self, str caller)
    cpdef bytes lines(self, Allowance allowance)
