import cython


# What a service claims may be beyond 64 bits: those three are Python's numbers.
@cython.locals(beyond=object, wire=object)
cpdef object terms_of(long long received, long long started, long long ready, long long slot, long long sent, long long first_byte, long long last_byte, long long resumed, long long done, object processing, object network, object system, long long min_rtt)
