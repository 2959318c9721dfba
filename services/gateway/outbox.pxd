import cython


@cython.final
cdef class Together:
    cdef public list _waiting

    cpdef object put(self, object letter)
