"""The same bytes as other people's parsers understand them: llhttp, as uvicorn uses it, and h11."""

from dataclasses import dataclass, field
from typing import Any

import h11
import httptools

Fields = list[tuple[bytes, bytes]]


class NotUnderstood(Exception):
    """The reference parser refuses these bytes."""


@dataclass
class Message:
    """One request. Names are in lower case, values without the spaces around them."""

    method: bytes = b""
    target: bytes = b""
    headers: Fields = field(default_factory=list)
    body: bytes = b""
    complete: bool = False


class _Collector:
    """What httptools calls back."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.parser: Any = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def on_message_begin(self) -> None:
        self.messages.append(Message())

    def on_url(self, url: bytes) -> None:
        self.messages[-1].target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.messages[-1].headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        message = self.messages[-1]
        message.method = self.parser.get_method()
        # What uvicorn gives the application; an absolute form without a path, which it refuses, means `/`.
        url = httptools.parse_url(message.target)
        message.target = (url.path or b"/") + (b"?" + url.query if url.query is not None else b"")

    def on_body(self, body: bytes) -> None:
        self.messages[-1].body += body

    def on_message_complete(self) -> None:
        self.messages[-1].complete = True


def by_httptools(data: bytes) -> list[Message]:
    """The requests in `data`. Raises `NotUnderstood`."""
    collector = _Collector()
    try:
        collector.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass  # the application decides; what came before it counts
    except httptools.HttpParserError as error:
        raise NotUnderstood(str(error)) from error
    return collector.messages


def by_h11(data: bytes) -> list[Message]:
    """The requests in `data`. Raises `NotUnderstood`."""
    messages: list[Message] = []
    while data:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        connection.receive_data(data)
        message = Message()
        try:
            request = connection.next_event()
            if not isinstance(request, h11.Request):
                break
            messages.append(message)
            message.method, message.target = request.method, request.target
            message.headers = [(name.lower(), value) for name, value in request.headers]
            while not message.complete:
                event = connection.next_event()
                if isinstance(event, h11.Data):
                    message.body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    message.complete = True
                else:
                    return messages
        except h11.RemoteProtocolError as error:
            raise NotUnderstood(str(error)) from error
        data = connection.trailing_data[0]
    return messages


# What is not passed on as it came, told once more and independently.
_OURS = {
    *(b"host", b"authorization", b"x-api-key", b"x-request-id", b"traceparent", b"tracestate", b"connection"),
    *(
        b"content-length",
        b"transfer-encoding",
        b"expect",
        b"upgrade",
        b"via",
        b"forwarded",
        b"x-real-ip",
        b"te",
    ),
    *(b"keep-alive", b"trailer", b"proxy-connection", b"proxy-authorization", b"proxy-authenticate"),
}


def end_to_end(headers: Fields) -> Fields:
    """Those of a request that reach the replica as they came."""
    nominated = {
        option.strip(b" \t").lower()
        for name, value in headers
        if name == b"connection"
        for option in value.split(b",")
    }
    return [
        (name, value)
        for name, value in headers
        if name.replace(b"_", b"-") not in _OURS
        and not name.replace(b"_", b"-").startswith((b"x-kontor-", b"x-forwarded-"))
        and name not in nominated
    ]
