import cython

from services.gateway.balancing.balancer cimport Balancer
from services.gateway.protocol.request_head cimport RequestHead
from services.gateway.resilience.deadline cimport Deadlines


cdef class Destination

from services.gateway.resilience.upstream cimport Upstream


@cython.final
cdef class Destination:
    cdef public bint _rewrites
    cdef public Balancer balancer
    cdef public object cache
    cdef public Deadlines deadlines
    cdef public bint hashes
    cdef public object hedging
    cdef public str name
    cdef public object priority
    cdef public bint public
    cdef public object retries
    cdef public object route
    cdef public str template
    cdef public long long timeout_ns
    cdef public Upstream upstream

    cpdef bytes target(self, RequestHead head)
