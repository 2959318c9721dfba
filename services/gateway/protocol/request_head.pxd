import cython

from services.gateway.protocol.fields cimport LineReader


@cython.final
cdef class RequestFields:
    cdef public list lines
    cdef public dict found
    cdef public bytes host
    cdef public bytes credentials
    cdef public bint close
    cdef public long long body_length
    cdef public bint expects_continue
    cdef public bytes upgrade
    cdef public bytes onward
    cdef public bytes scheme


@cython.final
cdef class RequestHead:
    cdef public bytes method
    cdef public bytes target
    cdef public bytes path
    cdef public bint http10
    cdef public RequestFields fields


@cython.locals(
    lines=list, first=bytes, parts=list, method=bytes, target=bytes, minor=bytes, http10=bint, fields=RequestFields
)
cpdef RequestHead parse_request_head(bytes block)

@cython.locals(reader=LineReader, known=dict, passed=list, found=dict, line=bytes, fields=RequestFields)
cdef RequestFields _parse_fields(list lines)

cdef bytes _onward(RequestFields fields)
