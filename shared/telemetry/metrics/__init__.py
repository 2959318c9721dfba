"""Metrics of the suite: small counters of our own, told to Prometheus and by OTLP.

    definitions   every metric's name, unit and labels, as data
    requests      RequestMetrics: what is counted of each request, in batches
    durations     histograms under a bounded number of label sets, with exemplars
    active        requests under way, integrated exactly, and Little's law
    health        lag of the event loop, time in readiness
    families      what was collected, as plain values: added up over processes, told as JSON
    exposition    the two text formats of Prometheus
    page          `/metrics`
    export        OTLP, from time to time, when an endpoint is configured
    otlp          the SDK's data and exporter, imported only then
    process       what every process measures of itself
    service       what a service does besides

Recording is dictionaries and integers: 0.6 us of CPU per request, where the SDK's instruments take 29 for the same four
histograms. All durations are integer nanoseconds until they leave the process, so that sums are exact.
"""
