"""Several worker processes on one port, and the parent that keeps them.

    spawning        starting a worker process; imports next to nothing, as it is the first thing that happens
    worker          what such a process runs first
    commands        what the parent can ask of it
    configuration   the documents that all workers have in force, as texts
    steering        what operators have said of replicas: drained, and weights
    channel         questions and answers between the two: JSON lines over a socket pair
    restarting      when a worker that died is started again
    memory          memory without a name, which the parent makes and all workers map
    sharing         what workers have in common in it
    fleet           the parent's side: the workers, their sockets, their ends
    parent          the parent: signals, reloads, the admin API

The parent alone gets signals, reads files and makes listening sockets, which it keeps open: whoever connects while
a worker is dead is served by its successor. It also keeps the memory in which workers tell one another what was changed
(`caching/stamps.py`) and what was taken of limits (`limits/shared.py`), and gives each worker a row of it that nobody
else writes.
"""
