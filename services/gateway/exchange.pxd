import cython


# The classes that hold one another are announced first.
cdef class Exchange

from services.gateway.attempts cimport Attempts
from services.gateway.forwarding.answer_head cimport AnswerHead
from services.gateway.forwarding.connection cimport UpstreamConnection
from services.gateway.protocol.client cimport ClientConnection
from services.gateway.timing.server_timing cimport server_timing
from services.gateway.timing.terms cimport terms_of


@cython.final
cdef class Exchange(Attempts):
    cdef public bint _chunked_out
    cdef public object _held
    cdef public long long _moved_ns
    cdef public bint _tunnel
    cdef public tuple _untold
    cdef public bint close
    cdef public long long done_ns
    cdef public bint is_head
    cdef public object latency
    cdef public bytes own_lines
    cdef public long long resumed_ns

    cpdef bint admit(self)
    cpdef bint wants_whole(self, AnswerHead head)
    cpdef object informed(self, UpstreamConnection connection, AnswerHead head)
    @cython.locals(now_ns="long long", told=AnswerHead, about=bytes)
    cpdef object whole(self, UpstreamConnection connection, AnswerHead head, bytes body)
    cdef object _put_aside(self, UpstreamConnection connection, AnswerHead head, tuple untold, long long now_ns)
    cpdef object others_know(self)
    @cython.locals(head=AnswerHead, body=bytes, more=bytes, now_ns="long long", close=bint, timing=bytes)
    cpdef object post(self, long long waited_ns)
    @cython.locals(said=bytes, service=tuple)
    cdef object _latency(self, tuple answered, long long now_ns)
    cpdef object waited(self, UpstreamConnection connection, long long waited_ns)
    @cython.locals(via=bytes)
    cdef bytes _answer(self, AnswerHead head, bytes timing, bytes more, bytes body=*)
    @cython.locals(answered=tuple)
    cdef bytes _measure(self, UpstreamConnection connection, AnswerHead head, long long now_ns)
    @cython.locals(now_ns="long long", timing=bytes, more=bytes)
    cpdef object began(self, UpstreamConnection connection, AnswerHead head)
    cpdef object piece(self, bytes data)
    @cython.locals(now_ns="long long")
    cpdef object ended(self, UpstreamConnection connection, list trailers)
    cdef object _accept(self, UpstreamConnection connection, AnswerHead head, long long now_ns)
    cdef object _note(self, UpstreamConnection connection, AnswerHead head, long long now_ns)
    @cython.locals(now_ns="long long")
    cpdef object failed(self, UpstreamConnection connection, object outcome, str detail)
    cpdef object expire(self, long long now_ns)
    cdef object _expire_answer(self, long long silent_ns, long long now_ns)
    cpdef object client_left(self)
    cpdef object answer(self, object status, bytes content_type, bytes body)
    cpdef object serve(self, long status, bytes head, bytes more, bytes content)
    cdef bint _written(self, AnswerHead head, long long now_ns) except -1
    cdef object _hold_back(self, AnswerHead head, long long now_ns)
    cdef bytes _measure_refusal(self, long long now_ns)
    cdef object _cut(self, str detail, long long now_ns)
    cpdef object client_full(self)
    cpdef object client_ready(self)
    cpdef object upstream_full(self)
    cpdef object upstream_ready(self)
    cpdef object switched(self, UpstreamConnection connection, AnswerHead head, bytes data)
    cpdef object tunnel(self, bytes data)
    cpdef object tunnel_ended(self)
    cdef object _finish(self, long long now_ns, bint close)
    cdef object _end(self, long long now_ns)
