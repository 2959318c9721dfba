"""The gateway: one address in front of all services.

    app.py        the pipeline's order, and what one process is composed of
    exchange.py   one request on its way, over as many attempts as it takes
    server.py     its sockets, and how it lets go of one without losing anybody
    control/      the worker processes, and the parent that keeps, reloads and steers them
    config/       the YAML document (see example.yaml) as an immutable snapshot
    documents/    reading such documents, with errors that name the line
    settings.py   the environment
    protocol/     the caller's side: HTTP/1.1, read strictly
    limits/       sizes of a request, rate of requests, patience
    routing/      host, path and method → route
    auth/         API key → tenant and principal
    caching/      answers that are kept, as long as nothing that they show is changed
    resilience/   health, ejection, circuits, retries, hedges, deadlines, concurrency; the account of it all
    balancing/    which replica
    discovery/    where the replicas are
    forwarding/   the replica's side: connections, and answers as they come
    timing/       trace context, spans, the access log
    accelerator/  which form of the data path is imported: the sources, or what was compiled from them
    admin/        what the gateway answers itself: health, and to operators the admin API

Policies are pure: they import neither a framework nor anything that does I/O.
"""

from services.gateway import accelerator

# Which form of a module is imported can only be said before it is.
accelerator.heed()
