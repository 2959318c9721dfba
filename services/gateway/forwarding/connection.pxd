import cython


cdef class UpstreamConnection

from services.gateway.forwarding.answer_head cimport AnswerHead
from services.gateway.forwarding.pool cimport Pool
from services.gateway.protocol.framing cimport ChunkedReader
from services.gateway.timing.rtt cimport MinRtt


cdef int _IDLE, _HEAD, _COUNTED, _CHUNKS, _UNTIL_CLOSE, _TUNNEL, _CLOSED


@cython.final
cdef class UpstreamConnection:
    cdef public bytes _buffer
    cdef public ChunkedReader _chunks
    cdef public AnswerHead _head
    cdef public list _held
    cdef public long long _left
    cdef public int _phase
    cdef public object _poll
    cdef public bytes _unsent
    cdef public long long asked_ns
    cdef public Py_ssize_t candidates
    cdef public long long connected_ns
    cdef public long long first_byte_ns
    cdef public long long idle_since_ns
    cdef public str kind
    cdef public long long last_byte_ns
    cdef public MinRtt min_rtt
    cdef public Pool pool
    cdef public object receiver
    cdef public bint request_complete
    cdef public long long sent_ns
    cdef public bytes span_id
    cdef public long long token
    cdef public object transport
    cdef public str why

    cpdef object send(self, object receiver, bytes data, bint complete, long long now_ns)
    cpdef object post(self, long long waited_ns)
    cpdef object send_more(self, bytes data, bint complete)
    cpdef object abandon(self)
    cpdef bint answer_is_here(self)
    cpdef bint stale(self)
    cpdef object close(self)
    @cython.locals(phase=int)
    cpdef object data_received(self, bytes data)
    @cython.locals(head=AnswerHead, body=bytes, length="long long")
    cdef object _take_head(self, bytes data)
    @cython.locals(end=Py_ssize_t)
    cdef tuple _next_head(self, object receiver, bytes data)
    cdef object _take_interim(self, object receiver, AnswerHead head, bytes rest)
    cdef object _begin_body(self, object receiver, AnswerHead head, bytes body)
    @cython.locals(head=AnswerHead, held=list, left="long long")
    cdef object _take_counted(self, bytes data)
    @cython.locals(head=AnswerHead, chunks=ChunkedReader, pieces=list)
    cdef object _take_chunks(self, bytes data)
    cdef object _free(self, AnswerHead head)
    cdef object _fail(self, object outcome, str detail)
