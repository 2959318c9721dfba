"""What a log line knows about the request it belongs to."""

import re
from contextvars import ContextVar
from typing import Final

USABLE_REQUEST_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")
"""What a caller's `X-Request-Id` must be as a whole, to be taken over into logs, traces and headers: nothing in it ends
a line or a field of a line. Any other is replaced."""
request_id_var: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request being served; set by the middleware that accepts or makes it."""
