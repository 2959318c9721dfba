"""Several gateways, one promise: nobody is shown an older state than a write that was acknowledged by any of them.

rule          the times that all gateways agree on
standing      until when this gateway may use what it has stored
roll          what a gateway reads out of the registry: who is gone, and since when it can be relied on
notice        one write, and whom it waits for
messages      what gateways say to one another

These are pure; time comes in as a parameter, in nanoseconds of the monotonic clock. At work they are in

board         what the workers of one gateway know in common, in shared memory
proving       asking a service what was committed that we were not told
registry      the gateways that there are, at a Valkey or Redis
subscription  hearing what others publish there
telling       telling others of a write, and answering its caller when they know
speaking      what one worker does for its gateway
peers         all of it together, in one worker

Why it holds is in docs/adr/0017.
"""
