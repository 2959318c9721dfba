import cython


@cython.final
cdef class LineReader:
    cdef public dict _noted
    cdef public object _dropped
    cdef public tuple _dropped_prefixes
    cdef public object _unique
    cdef public object _silent
    cdef public dict _checks
    cdef public object _special
    cdef public dict known
    cdef public dict _names
    cdef public dict _seen

    @cython.locals(raw_name=bytes, value=bytes, name=bytes, passed_on=bint, special=bint, repeats=bint)
    cpdef object learn(self, bytes line)
    cdef object _remember(self, bytes line, bytes raw_name, object verdict)
    cdef tuple _learn_name(self, bytes raw_name)
    cdef object _judge(self, bytes name)
    cdef object _note(self, bytes name, bytes value)
