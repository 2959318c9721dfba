import cython



@cython.final
cdef class HedgeTimer:
    cdef public object _line
    cdef public object _handle

    cpdef object add(self, long long due_ns, object request)
