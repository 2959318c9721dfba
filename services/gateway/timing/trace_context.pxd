cpdef tuple read_traceparent(bytes value)
