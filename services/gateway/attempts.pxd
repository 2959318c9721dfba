import cython


# The classes that hold one another are announced first.
cdef class Attempts

from services.gateway.balancing.endpoint cimport Endpoint
from services.gateway.forwarding.answer_head cimport AnswerHead
from services.gateway.forwarding.connection cimport UpstreamConnection
from services.gateway.forwarding.pool cimport Pool
from services.gateway.protocol.request_head cimport RequestFields, RequestHead
from services.gateway.resilience.breaker cimport CircuitBreaker
from services.gateway.resilience.concurrency cimport ConcurrencyLimiter
from services.gateway.resilience.retry_budget cimport AttemptBudget
from services.gateway.resilience.upstream cimport Upstream
from services.gateway.routing.destination cimport Destination
from services.gateway.timing.trace_ids cimport TraceIds


cdef class Attempts:
    cdef public bint _began
    cdef public bint _chunked_in
    cdef public bint _complete
    cdef public object _gateway
    cdef public list _kept
    cdef public Py_ssize_t _kept_bytes
    cdef public ConcurrencyLimiter _limiter
    cdef public UpstreamConnection _rival
    cdef public ConcurrencyLimiter _slot
    cdef public object _ticket
    cdef public object _timer
    cdef public tuple _tried
    cdef public tuple answered
    cdef public bytes asked_timeout
    cdef public long long attempt_deadline_ns
    cdef public long long attempts
    cdef public object caller
    cdef public object client
    cdef public UpstreamConnection connection
    cdef public long long deadline_ns
    cdef public list decisions
    cdef public str error
    cdef public object fetch
    cdef public RequestFields fields
    cdef public bytes forwarded
    cdef public RequestHead head
    cdef public long long headed_ns
    cdef public bytes id_line
    cdef public bint idempotent
    cdef public str kept
    cdef public bytes key
    cdef public bint over
    cdef public list past
    cdef public str peer
    cdef public long long ready_ns
    cdef public long long received_ns
    cdef public bytes request_id
    cdef public long long retries
    cdef public Destination route
    cdef public long long slot_ns
    cdef public long long started_ns
    cdef public long status
    cdef public bytes target
    cdef public str template
    cdef public TraceIds trace
    cdef public bint unsafe
    cdef public long long uploaded_ns
    cdef public Upstream upstream
    cdef public str upstream_name
    cdef public bytes vouched

    @cython.locals(now_ns="long long", upstream=Upstream, limiter=ConcurrencyLimiter)
    cpdef object start(self, bytes body, bint complete)
    @cython.locals(now_ns="long long")
    cdef object _enter(self, ConcurrencyLimiter limiter)
    cdef object _leave(self, long long now_ns, object outcome)
    cpdef object go(self, long long now_ns)
    @cython.locals(now_ns="long long", connection=UpstreamConnection)
    cpdef object feed(self, bytes data, bint complete)
    cdef bytes _framed(self, bytes data, bint complete)
    @cython.locals(endpoint=Endpoint, pool=Pool)
    cdef bint _attempt(self, long long now_ns)
    cdef str _enter_further_attempt(self)
    @cython.locals(token="long long", breaker=CircuitBreaker, connection=UpstreamConnection)
    cdef object _send(self, Pool pool, str kind, long long now_ns)
    @cython.locals(data=bytes, kept=list)
    cdef bytes _request(self, Pool pool, long long now_ns)
    @cython.locals(left_ms="long long")
    cdef bytes _timeout_line(self, long long now_ns)
    cdef object _make_way(self, UpstreamConnection connection)
    cdef object _found_no_connection(self, Pool pool, str kind, long long token, long long now_ns)
    cpdef object hedge(self)
    cdef object _drop_loser(self, UpstreamConnection winner, long long now_ns)
    cdef bint _forget(self, UpstreamConnection connection)
    cdef bint _better_luck(self, UpstreamConnection connection, AnswerHead head, long long now_ns)
    cdef object _after_failure(self, object outcome, str detail)
    cdef object _ask_again(self, UpstreamConnection connection, AnswerHead head, long long now_ns)
    cdef object _abandon_all(self, long long now_ns, object outcome)
    cdef object _settle(self, UpstreamConnection connection, long long now_ns, object outcome, str detail=*, AnswerHead head=*)
    @cython.locals(latency_ns="long long")
    cdef object _book(self, UpstreamConnection connection, long long now_ns, object outcome)
    cdef object _remember(self, tuple attempt)
    cdef object _give_up_place(self, long long now_ns)


cpdef object outcome_of(long status)
cpdef tuple readings_of(UpstreamConnection connection, long long now_ns, object outcome, str detail=*, AnswerHead head=*)
