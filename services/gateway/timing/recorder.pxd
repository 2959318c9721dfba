import cython

from services.gateway.exchange cimport Exchange
from services.gateway.protocol.request_head cimport RequestHead
from services.gateway.timing.keeping cimport Keeping
from services.gateway.timing.trace_ids cimport TraceIds


@cython.final
cdef class Recorder:
    cdef public object _metrics
    cdef public object _traces
    cdef public list _waiting

    cpdef object note(self, Exchange exchange)
    @cython.locals(
        waiting=list, now_ns="long long", offset_ns="long long", requests=list, attempts=list, lines=list,
        exchange=Exchange,
    )
    cpdef object flush(self)
    @cython.locals(total_ns="long long", failure=bint, keeping=Keeping, before=str, kept=str)
    cdef str _keep(self, Exchange exchange, long long now_ns, long long offset_ns)


cdef tuple _observation(Exchange exchange, object latency, object trace_id, object span_id)
@cython.locals(asked_ns="long long", ended_ns="long long")
cdef tuple _attempt(str upstream, tuple attempt, object trace_id)
@cython.locals(head=RequestHead, ids=TraceIds)
cdef tuple _line(Exchange exchange, object latency, long long offset_ns)
