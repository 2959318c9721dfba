"""The keys file, read at start and again when told to."""

import logging
from pathlib import Path

from services.gateway.auth.document import KeysDocument
from services.gateway.auth.keys import KeyRing
from services.gateway.documents import DocumentError, read_document

log = logging.getLogger("kontor.gateway.auth")


class KeyStore:
    """Holds the ring in force. Raises `DocumentError` from the constructor when the file is not in order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.ring = self._read()

    def reload(self) -> None:
        """Swap in the file's present content; a file with a mistake leaves the ring as it was."""
        try:
            self.ring = self._read()
        except DocumentError as error:
            # The sentence says all; a traceback would only bury it.
            log.error("API keys not reloaded, the former ones stay in force: %s", error)  # noqa: TRY400 - see above
        else:
            log.info("API keys reloaded: %d in force", len(self.ring))

    def _read(self) -> KeyRing:
        return read_document(self._path, KeysDocument).ring()
