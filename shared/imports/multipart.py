"""Reading `multipart/form-data` as it arrives (RFC 7578): small fields first, then one file of any size.

Nothing is spooled: the file's bytes are handed on as they come, so an upload takes constant memory and no disk.
"""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from shared.problems import Problem, malformed_body

if TYPE_CHECKING:  # the name exists for type checkers only
    from python_multipart.multipart import MultipartCallbacks

MAX_FIELD_BYTES = 4 * 1024 * 1024
FILE_FIELD = "file"


@dataclass
class _Part:
    name: str = ""
    file_name: str | None = None
    data: deque[bytes] = field(default_factory=deque)
    size: int = 0
    ended: bool = False


class MultipartForm:
    """One form on its way in. Read `fields()` first, then `file()`."""

    def __init__(self, request: Request) -> None:
        content_type, options = parse_options_header(request.headers.get("content-type"))
        boundary = options.get(b"boundary")
        if content_type != b"multipart/form-data" or not boundary:
            detail = "Send multipart/form-data with a `mapping` field and then a `file`."
            raise Problem(415, "unsupported_media_type", "Unsupported media type", detail)
        self._body = request.stream()
        self._parts: list[_Part] = []
        self._header_name = self._header_value = b""
        self._ended = False
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin_part,
            "on_header_field": self._extend_header_name,
            "on_header_value": self._extend_header_value,
            "on_header_end": self._end_header,
            "on_part_data": self._add_data,
            "on_part_end": self._end_part,
            "on_end": self._end_form,
        }
        self._parser = MultipartParser(boundary, callbacks)
        self.file_name: str | None = None

    async def fields(self) -> dict[str, str]:
        """Every field before the file. Raises 400 for a form that is malformed or has no file."""
        while not any(part.name == FILE_FIELD for part in self._parts):
            if not await self._read_more():
                raise malformed_body("The form has no `file`, or it does not come last.")
        self.file_name = self._parts[-1].file_name
        try:
            return {part.name: b"".join(part.data).decode() for part in self._parts[:-1]}
        except UnicodeDecodeError:
            raise malformed_body("A field of the form is not UTF-8.") from None

    async def file(self) -> AsyncIterator[bytes]:
        """The file's bytes as they come. Raises 400 when the form ends before the file does."""
        part = self._parts[-1]
        while True:
            while part.data:
                yield part.data.popleft()
            if part.ended:
                break
            if not await self._read_more():
                raise malformed_body("The upload ended before the form did.")
        while not self._ended and await self._read_more():
            if self._parts[-1] is not part:
                raise malformed_body("Nothing may follow the `file`.")

    async def _read_more(self) -> bool:
        chunk = await anext(self._body, b"")
        if not chunk:
            return False
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise malformed_body(f"The form is malformed: {error}.") from None
        return True

    def _begin_part(self) -> None:
        self._parts.append(_Part())

    def _extend_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _extend_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            _, options = parse_options_header(self._header_value)
            self._parts[-1].name = options.get(b"name", b"").decode("utf-8", "replace")
            file_name = options.get(b"filename")
            self._parts[-1].file_name = (
                file_name.decode("utf-8", "replace") if file_name is not None else None
            )
        self._header_name = self._header_value = b""

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        part = self._parts[-1]
        part.data.append(data[start:end])
        part.size += end - start
        if part.name != FILE_FIELD and part.size > MAX_FIELD_BYTES:
            raise Problem(413, "body_too_large", "Body too large", f"The field {part.name!a} is too large.")

    def _end_part(self) -> None:
        self._parts[-1].ended = True

    def _end_form(self) -> None:
        self._ended = True
