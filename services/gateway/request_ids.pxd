import cython


@cython.final
cdef class RandomHex:
    cdef public bytes _digits
    cdef public Py_ssize_t _at

    @cython.locals(at=Py_ssize_t)
    cpdef bytes take(self, Py_ssize_t count)


@cython.final
cdef class RequestIds:
    cdef public Py_ssize_t _at
    cdef public long long _millisecond
    cdef public bytes _prefix
    cdef public bytes _tails

    @cython.locals(at=Py_ssize_t, millisecond="long long", stamp=bytes)
    cpdef bytes next(self)
