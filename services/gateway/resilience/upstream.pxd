import cython


cdef class Upstream

from services.gateway.balancing.endpoint cimport Endpoint
from services.gateway.balancing.load_report cimport LoadReportParser
from services.gateway.forwarding.pool cimport Pool
from services.gateway.resilience.concurrency cimport ConcurrencyLimiter
from services.gateway.resilience.ejection cimport OutlierDetector
from services.gateway.resilience.ledger cimport Ledger
from services.gateway.resilience.retry_budget cimport AttemptBudget


@cython.final
cdef class Upstream:
    cdef public str name
    cdef public object _outbox
    cdef public Ledger ledger
    cdef public object timer
    cdef public dict pools
    cdef public dict health
    cdef public object _registry
    cdef public LoadReportParser _loads
    cdef public tuple _endpoints
    cdef public dict _balancers
    cdef public dict _hedging
    cdef public object plan
    cdef public object coherence
    cdef public AttemptBudget budget
    cdef public ConcurrencyLimiter limiter
    cdef public OutlierDetector _detector

    cpdef object went_well(self, Pool pool, long long token, long long now_ns, long long latency_ns)
    @cython.locals(endpoint=Endpoint)
    cpdef object ended(self, Pool pool, long long token, long long now_ns, long long latency_ns, object outcome)
    cpdef object reported(self, Pool pool, bytes load, long long now_ns)
    cpdef object refresh(self, long long now_ns)
