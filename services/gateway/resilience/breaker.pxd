import cython


@cython.final
cdef class CircuitBreaker:
    cdef public long long _attempts
    cdef public long long _closed_at
    cdef public long long _failures
    cdef public long long _good_probes
    cdef public Py_ssize_t _index
    cdef public long long _last_token
    cdef public long long _open_ns
    cdef public long long _open_until
    cdef public dict _probes
    cdef public object _random
    cdef public object _rule
    cdef public long long _slice_attempts
    cdef public long long _slice_ends_ns
    cdef public long long _slice_failures
    cdef public long long _slice_ns
    cdef public list _slices
    cdef public long long _token
    cdef public long long opened_count
    cdef public object state

    cpdef bint allows(self, long long now)
    cpdef long long on_start(self, long long now)
    cpdef object went_well(self, long long now, long long token)
    @cython.locals(attempts="long long", failures="long long")
    cpdef object on_result(self, long long now, long long token, object outcome)
    cdef object _on_probe(self, long long now, long long token, object outcome)
    cdef bint _has_room_for_a_probe(self, long long now)
    cdef object _open(self, long long now, str why)
    cdef object _close(self, long long now)
    cdef object _turn(self, long long now)
