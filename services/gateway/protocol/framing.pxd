import cython


@cython.final
cdef class ChunkedReader:
    cdef public bytes _buffer
    cdef public long long _left
    cdef public Py_ssize_t _trailer_bytes
    cdef public list trailers
    cdef public bint ended
    cdef public bytes rest

    @cython.locals(pieces=list, at="long long", end=Py_ssize_t, line=bytes)
    cpdef list feed(self, bytes data)
    @cython.locals(piece=bytes, closing=bytes)
    cdef long long _take_content(self, bytes data, long long at, list pieces)
    cdef object _keep_line(self, bytes beginning)
    cdef object _take_size(self, bytes line)
    cdef object _take_trailer(self, bytes line)
