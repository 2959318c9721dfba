"""How busy a process is, told with every answer so that whoever balances can go by it.

    shared.load.meter        LoadMeter     counts and samples; run by the lifespan
    shared.load.middleware   ReportLoad    puts the header on every answer

The header is ORCA's, `endpoint-load-metrics` (xds.data.orca.v3.OrcaLoadReport as text), which Envoy reads as well.
"""
