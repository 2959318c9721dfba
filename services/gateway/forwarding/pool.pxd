import cython


cdef class Pool

from services.gateway.balancing.endpoint cimport Endpoint
from services.gateway.forwarding.connection cimport UpstreamConnection
from services.gateway.resilience.breaker cimport CircuitBreaker


@cython.final
cdef class Pool:
    cdef public Endpoint endpoint
    cdef public object outbox
    cdef public CircuitBreaker breaker
    cdef public object rule
    cdef public str address
    cdef public bytes host_line
    cdef public str _host
    cdef public int _port
    cdef public list _idle
    cdef public set _connecting
    cdef public long long open
    cdef public long long opened
    cdef public bint closed

    @cython.locals(idle=list, connection=UpstreamConnection)
    cpdef UpstreamConnection send(self, object receiver, bytes data, bint complete, bint fresh, long long now_ns)
    cpdef object keep(self, UpstreamConnection connection)
    cpdef object drop(self, UpstreamConnection connection)
    cpdef object lost(self, UpstreamConnection connection)
