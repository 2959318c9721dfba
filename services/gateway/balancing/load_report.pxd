import cython


@cython.final
cdef class LoadReportParser:
    cdef public long long malformed
    cdef public Py_ssize_t _remembered
    cdef public dict _memo

    cpdef object parse(self, bytes value)
