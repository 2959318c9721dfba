import cython


@cython.final
cdef class Allowance:
    cdef public bint allowed
    cdef public long long remaining
    cdef public long long full_in_s
    cdef public long long retry_after_s
    cdef public bytes lines


@cython.locals(token_ns="long long", full_at="long long", spare_ns="long long")
cpdef tuple take(long long full_at_ns, long long now_ns, object rate)

cpdef long long _seconds_up(long long duration_ns)
