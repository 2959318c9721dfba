"""The gateway: one address in front of all services.

    app.py        the pipeline's order, and what it is composed of
    config.py     the YAML document (see example.yaml) as an immutable snapshot
    settings.py   the environment
    protocol/     the server's side of a connection
    limits/       sizes of a request, rate of requests
    routing/      longest path prefix → upstream
    auth/         API key → tenant and principal
    resilience/   health of replicas, retries
    balancing/    which replica
    forwarding/   the request to the replica, the answer back, both streamed
    admin/        what the gateway answers itself

Policies are pure: they import neither a framework nor anything that does I/O.
"""
