import cython

from services.gateway.limits.token_bucket cimport Allowance


@cython.final
cdef class _Bucket:
    cdef public Py_ssize_t slot
    cdef public unsigned long long mark
    cdef public Py_ssize_t at
    cdef public long long base
    cdef public long long spent
    cdef public long long told


@cython.final
cdef class RateLimiter:
    cdef public object _rate
    cdef public long long _token_ns
    cdef public long long _full_ns
    cdef public object _table
    cdef public object _clock_ns
    cdef public dict _buckets
    cdef public dict _known
    cdef public bytes _lines
    cdef public dict _said

    @cython.locals(now="long long", bucket=_Bucket, at=Py_ssize_t, place=Py_ssize_t, base="long long", spent="long long", other="long long", first=Py_ssize_t, owed_ns="long long")
    cpdef Allowance take(self, str caller)
    @cython.locals(remaining="long long", full_in_s="long long", said="long long", allowance=Allowance)
    cdef Allowance _allowed(self, long long owed_ns)
    cdef object _forgive(self, _Bucket bucket, long long owed_ns)
    cpdef bytes lines(self, Allowance allowance)
