import cython


@cython.final
cdef class AttemptBudget:
    cdef public long long _balance
    cdef public Py_ssize_t _index
    cdef public long long _paid
    cdef public long long _percent
    cdef public long long _reserve
    cdef public long long _slice_ends_ns
    cdef public long long _slice_ns
    cdef public list _slices

    cpdef object on_request(self, long long now)
    cpdef long long available(self, long long now)
    cpdef bint withdraw(self, long long now)
    cdef object _turn(self, long long now)
