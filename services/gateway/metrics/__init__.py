"""The gateway's metrics, besides those that every process has (`shared.telemetry.metrics`).

definitions   names, units and labels
attempts      one histogram per replica: every attempt, also those that lost or failed
upstreams     the ledgers and the replicas' states, read when somebody collects
caches        what the routes' caches have counted, likewise
worker        one worker's: what the data path calls
fleet         the parent's: all workers' figures added up, also of those that have ended
"""
