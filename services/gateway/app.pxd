import cython

from services.gateway.exchange cimport Exchange
from services.gateway.limits.rate_limiter cimport RateLimiter
from services.gateway.limits.token_bucket cimport Allowance
from services.gateway.protocol.client cimport ClientConnection
from services.gateway.protocol.request_head cimport RequestFields, RequestHead
from services.gateway.request_ids cimport RandomHex, RequestIds
from services.gateway.resilience.upstream cimport Upstream
from services.gateway.routing.destination cimport Destination
from services.gateway.routing.policy cimport RouteTable
from services.gateway.timing.keeping cimport Keeping, Share
from services.gateway.timing.recorder cimport Recorder


@cython.final
cdef class Gateway:
    cdef public object outbox
    cdef public object _keys
    cdef public object _signer
    cdef public object _telemetry
    cdef public object _registry
    cdef public object _share
    cdef public Keeping _keeping
    cdef public Share _left_to_services
    cdef public object metrics
    cdef public RandomHex random
    cdef public object traces
    cdef public RequestIds _ids
    cdef public object _prober
    cdef public Recorder _recorder
    cdef public set _clients
    cdef public object _deserted
    cdef public dict _identities
    cdef public object _discovery
    cdef public object _client_connections
    cdef public object _shared_limits
    cdef public object _common_limits
    cdef public bint _started
    cdef public bint _draining
    cdef public object _steering
    cdef public object caches
    cdef public object _sweeper
    cdef public dict _destinations
    cdef public RateLimiter _limiter
    cdef public bint _open_to_all
    cdef public dict _pages
    cdef public dict upstreams
    cdef public object snapshot
    cdef public long long longest_head
    cdef public long long largest_body
    cdef public long long most_pipelined
    cdef public object timeouts

    cpdef object finished(self, Exchange exchange)
    @cython.locals(fields=RequestFields, sent=bytes, request_id=bytes)
    cpdef bint admit(self, Exchange exchange)
    @cython.locals(path=bytes, destination=Destination)
    cdef bint _pass_through(self, Exchange exchange) except -1
    cdef object _recognise(self, RequestFields fields)
    cdef object _decide_keeping(self, Exchange exchange, Destination destination)
    @cython.locals(routes=RouteTable, host=bytes)
    cdef Destination _route(self, RequestHead head, bytes path)
    @cython.locals(who=str, allowance=Allowance)
    cdef object _count(self, Exchange exchange, RateLimiter limiter)
    @cython.locals(head=RequestHead, fields=RequestFields, upstream=Upstream)
    cdef object _prepare(self, Exchange exchange, Destination destination)
    cdef bytes _credentials(self, RequestFields fields)
    @cython.locals(lines=dict, line=bytes)
    cdef bytes _identity_line(self, object caller, str audience)
