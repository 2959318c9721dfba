"""What a log line knows about the request it belongs to."""

from contextvars import ContextVar

request_id_var: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request being served; set by the middleware that accepts or makes it."""
