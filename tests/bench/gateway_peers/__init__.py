"""What the gateway's benchmark starts: peers to compare with, what they forward to, and the load.

    starters    each candidate as a process with a port and a log
    upstream    the server behind all of them
    load        wrk, with requests that all differ
    processes   a process on a core, from its first good answer to its end

Nothing is installed here: what is missing on this machine is left out.
"""
