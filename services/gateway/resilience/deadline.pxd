import cython


@cython.final
cdef class Deadlines:
    cdef public long long _timeout_ns
    cdef public long long _attempt_ns

    cpdef long long deadline(self, long long received, bytes asked=*)
    @cython.locals(attempt="long long")
    cpdef long long attempt_deadline(self, long long now, long long deadline)
