import cython


@cython.final
cdef class _Prefixes:
    cdef public dict _any
    cdef public dict methods

    @cython.locals(by_prefix=dict, prefix=bytes)
    cpdef object match(self, bytes raw_path, bytes method)


@cython.final
cdef class RouteTable:
    cdef public tuple _routes
    cdef public dict _hosts
    cdef public _Prefixes _everywhere
    cdef public dict _remembered

    @cython.locals(prefixes=_Prefixes)
    cpdef object match(self, bytes raw_path, bytes method=*, bytes host=*)
