"""Several gateways, one promise: nobody is shown an older state than a write that was acknowledged by any of them.

rule          the times that all gateways agree on
standing      until when this gateway may use what it has stored
roll          what a gateway reads out of the registry: who is gone, and since when it can be relied on
notice        one write, and whom it waits for

These are pure; time comes in as a parameter, in nanoseconds of the monotonic clock. The argument why it holds is in
docs/adr/0017.
"""
