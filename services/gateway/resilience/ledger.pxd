import cython


@cython.final
cdef class Ledger:
    cdef public long long firsts
    cdef public long long retries
    cdef public long long hedges
    cdef public long long in_flight
    cdef public list _ended
    cdef public dict _turned_away

    cpdef object first(self)
    cpdef object retry(self)
    cpdef object hedge(self)
    cpdef object went_well(self)
    cpdef object ended(self, object outcome)
