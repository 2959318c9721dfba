"""Memory that the parent makes and all workers map: it has no name, and ends with the last process that has it."""

import os
import sys


def nameless(name: str, size: int) -> int:
    """The descriptor of `size` bytes, all 0, which are taken only as they are written. `name` is for whoever looks."""
    descriptor = _made(name)
    os.ftruncate(descriptor, size)
    return descriptor


def _made(name: str) -> int:
    if sys.platform == "linux":
        return os.memfd_create(name)
    import tempfile  # noqa: PLC0415 - the parent, which starts before all else, rarely needs it

    descriptor, path = tempfile.mkstemp(prefix=f"{name}-")
    os.unlink(path)
    return descriptor
