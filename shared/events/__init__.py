"""What changed: every change of a record, written in its own transaction, read in commit order, pushed in milliseconds.

tags        what answers contain and what writes changed, in one vocabulary
schema      the log's table, and the triggers that write it, for migrations
recording   who changes; and what a transaction has changed, before it is committed
log         reading without gaps, from a position on
since       what was committed since a moment, without an order
feed        one connection per process that hears of changes and tells of them
stream      the same as server-sent events, for the gateway
"""
