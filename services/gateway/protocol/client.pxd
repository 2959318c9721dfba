import cython


cdef class ClientConnection

from services.gateway.protocol.framing cimport ChunkedReader
from services.gateway.protocol.request_head cimport RequestHead


cdef int _HEAD, _SMALL_BODY, _BODY, _CHUNKS, _BUSY, _TUNNEL, _DISCARD, _CLOSED


@cython.final
cdef class ClientConnection:
    cdef public long long _arrived_ns
    cdef public bytes _buffer
    cdef public ChunkedReader _chunks
    cdef public bint _draining
    cdef public object _gateway
    cdef public long long _left
    cdef public long long _newest_ns
    cdef public list _parts
    cdef public bint _paused
    cdef public int _phase
    cdef public long long _since_ns
    cdef public long long _taken
    cdef public str counts_as
    cdef public object exchange
    cdef public bytes forwarded_line
    cdef public bint full
    cdef public str peer
    cdef public object transport
    cdef public bint trusted

    @cython.locals(phase=int)
    cpdef object data_received(self, bytes data)
    @cython.locals(end=Py_ssize_t, now_ns="long long", received_ns="long long", head=RequestHead, rest=bytes)
    cdef object _take_head(self, bytes data, bint held)
    cdef object _wait_for_head(self, bytes data, Py_ssize_t end)
    @cython.locals(length="long long")
    cdef object _take_head_with_body(self, object exchange, RequestHead head, bytes rest)
    @cython.locals(left="long long", rest=bytes, small=bint)
    cdef object _take_body(self, bytes data)
    cdef object _take_chunks(self, object exchange, ChunkedReader chunks, bytes data)
    cdef object _keep(self, bytes data)
    cpdef object pause(self)
    cpdef object resume(self)
    @cython.locals(phase=int)
    cpdef object over(self, bint close, long long now_ns)
    cpdef object become_tunnel(self)
    cpdef object cut(self)
    cpdef object reject(self, object problem, long long now_ns)
    cdef object _close(self, bint linger)
    cpdef bint drain(self)
    cpdef object close(self)
