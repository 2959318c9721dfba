"""The gateway's one document and the immutable snapshot made of it; `example.yaml` shows every field.

    document      the whole document          values     names, paths, seconds … with their bounds
    routes        its entries `routes`        checks     where its parts contradict one another
    upstreams     its entries `upstreams`     snapshot   what the pipeline works with
    shared_cache  its section of that name

Nothing here changes once made: a reload builds another snapshot and swaps it whole.
"""

from services.gateway.config.document import ConfigDocument
from services.gateway.config.snapshot import Snapshot, load, parse, read

__all__ = ["ConfigDocument", "Snapshot", "load", "parse", "read"]
