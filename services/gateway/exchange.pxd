import cython


# The classes that hold one another are announced first.
cdef class Exchange

from services.gateway.balancing.endpoint cimport Endpoint
from services.gateway.forwarding.answer_head cimport AnswerHead
from services.gateway.forwarding.connection cimport UpstreamConnection
from services.gateway.forwarding.pool cimport Pool
from services.gateway.protocol.client cimport ClientConnection
from services.gateway.protocol.request_head cimport RequestFields, RequestHead
from services.gateway.resilience.breaker cimport CircuitBreaker
from services.gateway.resilience.concurrency cimport ConcurrencyLimiter
from services.gateway.resilience.retry_budget cimport AttemptBudget
from services.gateway.resilience.upstream cimport Upstream
from services.gateway.routing.destination cimport Destination


@cython.final
cdef class Exchange:
    cdef public bint _began
    cdef public bint _chunked_in
    cdef public bint _chunked_out
    cdef public bint _complete
    cdef public object _gateway
    cdef public ConcurrencyLimiter _limiter
    cdef public list _kept
    cdef public Py_ssize_t _kept_bytes
    cdef public long long _moved_ns
    cdef public UpstreamConnection _rival
    cdef public ConcurrencyLimiter _slot
    cdef public long long _slot_ns
    cdef public object _ticket
    cdef public object _timer
    cdef public tuple _tried
    cdef public bint _tunnel
    cdef public bytes asked_timeout
    cdef public long long attempt_deadline_ns
    cdef public long long attempts
    cdef public object caller
    cdef public ClientConnection client
    cdef public bint close
    cdef public UpstreamConnection connection
    cdef public long long deadline_ns
    cdef public long long done_ns
    cdef public str error
    cdef public RequestFields fields
    cdef public bytes forwarded
    cdef public RequestHead head
    cdef public bint idempotent
    cdef public bint is_head
    cdef public bytes key
    cdef public bytes id_line
    cdef public bytes vouched
    cdef public bint over
    cdef public bytes own_lines
    cdef public str peer
    cdef public long long received_ns
    cdef public bytes request_id
    cdef public long long retries
    cdef public Destination route
    cdef public long status
    cdef public bytes target
    cdef public str template
    cdef public object trace
    cdef public bytes trace_line
    cdef public Upstream upstream

    cpdef bint admit(self)
    cpdef object start(self, bytes body, bint complete)
    @cython.locals(now_ns="long long")
    cdef bint _enter(self, ConcurrencyLimiter limiter)
    cdef object _leave(self, long long now_ns, object outcome)
    @cython.locals(now_ns="long long")
    cpdef object go(self)
    cpdef object feed(self, bytes data, bint complete)
    cdef bytes _framed(self, bytes data, bint complete)
    @cython.locals(endpoint=Endpoint, pool=Pool)
    cdef bint _attempt(self, long long now_ns)
    cdef object _enter_further_attempt(self)
    @cython.locals(span_id=bytes, token="long long", breaker=CircuitBreaker, connection=UpstreamConnection)
    cdef object _send(self, Pool pool, long long now_ns)
    @cython.locals(left_ms="long long", data=bytes, kept=list)
    cdef bytes _request(self, Pool pool, long long now_ns)
    cdef object _make_way(self, UpstreamConnection connection)
    cdef object _found_no_connection(self, Pool pool, long long token, bytes span_id, long long now_ns)
    cpdef object hedge(self)
    cpdef bint wants_whole(self, AnswerHead head)
    cpdef object informed(self, UpstreamConnection connection, AnswerHead head)
    @cython.locals(now_ns="long long", close=bint)
    cpdef object whole(self, UpstreamConnection connection, AnswerHead head, bytes body)
    @cython.locals(via=bytes)
    cdef bytes _answer(self, AnswerHead head, bytes more, bytes body=*)
    @cython.locals(now_ns="long long", more=bytes)
    cpdef object began(self, UpstreamConnection connection, AnswerHead head)
    cpdef object piece(self, bytes data)
    @cython.locals(now_ns="long long")
    cpdef object ended(self, UpstreamConnection connection, list trailers)
    @cython.locals(latency_ns="long long")
    cdef object _accept(self, UpstreamConnection connection, AnswerHead head, long long now_ns)
    cdef object _note(self, UpstreamConnection connection, AnswerHead head, long long now_ns)
    cdef object _drop_loser(self, UpstreamConnection winner, long long now_ns)
    cpdef object failed(self, UpstreamConnection connection, object outcome, str detail)
    cdef bint _forget(self, UpstreamConnection connection)
    cdef bint _better_luck(self, UpstreamConnection connection, AnswerHead head, long long now_ns)
    cdef object _after_failure(self, object outcome, str detail)
    cpdef object expire(self, long long now_ns)
    cpdef object client_left(self)
    cpdef object refuse(self, object problem)
    cpdef object answer(self, object status, bytes content_type, bytes body)
    cdef object _abandon_all(self, long long now_ns, object outcome)
    cdef object _cut(self, str detail, long long now_ns)
    cpdef object client_full(self)
    cpdef object client_ready(self)
    cpdef object upstream_full(self)
    cpdef object upstream_ready(self)
    cpdef object switched(self, UpstreamConnection connection, AnswerHead head, bytes data)
    cpdef object tunnel(self, bytes data)
    cpdef object tunnel_ended(self)
    @cython.locals(latency_ns="long long")
    cdef object _settle(self, UpstreamConnection connection, long long now_ns, object outcome, str detail=*, long status=*)
    cdef object _finish(self, long long now_ns, bint close)
    cdef object _end(self, long long now_ns)


cdef object _outcome(long status)
