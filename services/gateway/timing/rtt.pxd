import cython


@cython.final
cdef class MinRtt:
    cdef public long long _interval_ns
    cdef public long long _ns
    cdef public long long _renew_at_ns
    cdef public object _socket

    cpdef long long at(self, long long now_ns)
    cdef object _renew(self, long long now_ns)
