import cython

from services.gateway.exchange cimport Exchange
from services.gateway.protocol.request_head cimport RequestHead


@cython.final
cdef class AccessLog:
    cdef public list _waiting

    @cython.locals(head=RequestHead)
    cpdef object note(self, Exchange exchange)
