cpdef bytes server_timing(long long processing_ns, long long network_ns, long long system_ns)
