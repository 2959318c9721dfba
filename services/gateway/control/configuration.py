"""The documents that all workers have in force, as the texts that were read once, by the parent."""

from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from services.gateway.auth.keys import KeyRing
    from services.gateway.config import Snapshot
    from services.gateway.settings import GatewaySettings


@dataclass(frozen=True, slots=True)
class Configuration:
    """`document` and `keys` are texts, their `…_file` what errors call them; without a file of keys there are none.

    `identity_file` is read by each worker itself, once: what it signs with changes only by a restart.
    """

    document: str
    document_file: str
    keys: str | None
    keys_file: str | None
    identity_file: str | None

    @classmethod
    def read(cls, settings: "GatewaySettings") -> "Configuration":
        """What the files say now. Raises `DocumentError` when one cannot be read."""
        from services.gateway.documents.reading import read_text  # noqa: PLC0415 - the parent needs it only to reload

        keys_file, identity_file = settings.api_keys_file, settings.identity_private_key_file
        return cls(
            document=read_text(settings.config_file),
            document_file=str(settings.config_file),
            keys=None if keys_file is None else read_text(keys_file),
            keys_file=None if keys_file is None else str(keys_file),
            identity_file=None if identity_file is None else str(identity_file),
        )

    def as_json(self) -> dict[str, Any]:
        """For the channel; `Configuration(**…)` is the way back."""
        return asdict(self)


# The first worker has to understand it twice: to check it, and to start with it.
@lru_cache(maxsize=1)
def understand(texts: Configuration) -> "tuple[Snapshot, KeyRing]":
    """What the texts mean. Raises `DocumentError` with every mistake, of the keys only if the document is right."""
    from services.gateway import config  # noqa: PLC0415 - the parent needs it only to reload
    from services.gateway.auth.document import KeysDocument  # noqa: PLC0415 - as above
    from services.gateway.auth.keys import KeyRing  # noqa: PLC0415 - as above
    from services.gateway.documents import Complaint, DocumentError, parse_document  # noqa: PLC0415 - as above

    snapshot = config.read(texts.document, texts.document_file, Path(texts.document_file).parent)
    if snapshot.auth == "keys" and (texts.keys is None or texts.identity_file is None):
        what = "asks for keys, which GATEWAY_API_KEYS_FILE and GATEWAY_IDENTITY_PRIVATE_KEY_FILE must name"
        raise DocumentError(texts.document_file, [Complaint(1, 1, "auth", what)])
    if texts.keys is None:
        return snapshot, KeyRing(())
    return snapshot, parse_document(texts.keys, KeysDocument, texts.keys_file or "keys").ring()
