"""What operators and curious callers are told.

pages      the gateway's own addresses on its public port: health, and where the documentation is
explain    the pipeline run dry, in a worker
sums       what all workers together know
schemas    the admin API's documents
api        the admin API, in the parent, on a port of its own
traces     its part that shows traces; `trace_schemas` are their documents
caches     its part for the routes' caches, with `cache_schemas`, and `cache_sums` of all workers
metrics    its part for Prometheus
errors     its errors as problems
serving    its server
"""
