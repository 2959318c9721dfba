"""The three terms as a caller's browser shows them (W3C Server Timing). Pure."""


def server_timing(processing_ns: int, network_ns: int, system_ns: int) -> bytes:
    """The header line, durations in milliseconds, each off by at most half a microsecond."""
    return b"server-timing: processing;dur=%.3f, network;dur=%.3f, system;dur=%.3f\r\n" % (
        processing_ns / 1e6,
        network_ns / 1e6,
        system_ns / 1e6,
    )
