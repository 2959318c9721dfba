"""Logs of a process: one line per record on standard output, for people or for machines.

    shared.logs.setup     configure_logging     once per process, by the composition root
    shared.logs.context   request_id_var        the request that the current task serves
    shared.logs.access    log_access            one line per request
    shared.logs.formats   TextFormatter, JsonFormatter
    shared.logs.output    LineHandler           writes records at once, access lines in batches

Bodies, keys and `Authorization` are never logged: extra fields whose names say that they hold a secret
are blanked, and control characters in what callers sent cannot start a line of their own.
"""
