import cython

from services.gateway.protocol.fields cimport LineReader


@cython.final
cdef class AnswerHead:
    cdef public long status
    cdef public bytes status_line
    cdef public bytes onward
    cdef public dict found
    cdef public bytes via
    cdef public bint close
    cdef public long long length


@cython.locals(
    lines=list, first=bytes, status=long, http10=bint, status_line=bytes, passed=list, found=dict,
    reader=LineReader, known=dict, line=bytes, length="long long", bodiless=bint, close=bint, onward=bytes,
)
cpdef AnswerHead parse_answer_head(bytes block, bint is_head)

cdef bint _says_close(dict found)
cdef list _fewer(list lines, dict found, long status, bint is_head)
cdef tuple _learn_status_line(bytes line)
cdef long long _length(dict found)
