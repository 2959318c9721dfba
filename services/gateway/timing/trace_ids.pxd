import cython

from services.gateway.request_ids cimport RandomHex


@cython.final
cdef class TraceIds:
    cdef public bytes _flags
    cdef public bytes attempt_id
    cdef public bytes parent_id
    cdef public bint sampled
    cdef public bytes span_id
    cdef public bytes state
    cdef public bytes trace_id

    cpdef object next_attempt(self, RandomHex random)
    @cython.locals(line=bytes)
    cpdef bytes lines(self)
