"""What `make run` prints for people: the progress of the seeding, and at the end how to use the suite."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

_BAR_WIDTH = 30


@dataclass(frozen=True, slots=True)
class Facts:
    """What the closing words tell."""

    port: int
    api_key: str
    api_key_file: Path
    admin_port: int
    admin_key_file: Path
    logs: Path
    seconds: float
    """How long the start took."""


def bar(done: int, total: int) -> str:
    """A progress bar of one line. Does not claim to be full before it is."""
    share = min(1.0, done / total) if total > 0 else 1.0
    filled = int(share * _BAR_WIDTH)
    drawn = "#" * filled + "." * (_BAR_WIDTH - filled)
    return f"Demo workspace [{drawn}] {int(share * 100):3d} %  {done:,} of {total:,}"


def closing_words(facts: Facts) -> list[str]:
    """The URL, a key, three requests to try, and what commands want to know; one string per line."""
    url = f"http://127.0.0.1:{facts.port}"
    admin_url = f"http://127.0.0.1:{facts.admin_port}/admin/"
    authorization = f"-H 'Authorization: Bearer {facts.api_key}'"
    return [
        "",
        f"Kontor is up after {facts.seconds:.1f} s at {url}",
        "",
        f"  API key   {facts.api_key}",
        f"  API docs  {url}/docs/customers/  {url}/docs/sales/  {url}/docs/tickets/",
        f"  Admin     {admin_url}  with the key in {facts.admin_key_file}",
        f"  Logs      {facts.logs}/",
        "",
        "Try:",
        f"  curl {authorization} '{url}/v1/accounts?limit=3'",
        f"  curl {authorization} '{url}/v1/deals?filter[amount][gte]=10000&sort=-created_at&limit=3' -g",
        f"  curl {authorization} '{url}/v1/tickets?filter[status]=open&limit=3' -g",
        "",
        "For ./kontor and the examples of the documentation, in another shell:",
        f"  export KONTOR_API_KEY={facts.api_key}",
        f"  export KONTOR_ADMIN_URL={admin_url} KONTOR_ADMIN_KEY_FILE={quote(str(facts.admin_key_file))}",
        "",
        "Ctrl-C stops everything.",
        "",
    ]


def as_json(facts: Facts) -> str:
    """The same for machines: one JSON object, without the key itself, since logs get collected."""
    return json.dumps(
        {
            "process": "kontor",
            "message": "Kontor is up",
            "url": f"http://127.0.0.1:{facts.port}",
            "api_key_file": str(facts.api_key_file),
            "admin_url": f"http://127.0.0.1:{facts.admin_port}/admin/",
            "admin_key_file": str(facts.admin_key_file),
            "logs": str(facts.logs),
            "seconds": round(facts.seconds, 2),
        }
    )


def complain(sentence: str) -> None:
    """One sentence on standard error."""
    sys.stderr.write(f"kontor: {sentence}\n")
    sys.stderr.flush()
