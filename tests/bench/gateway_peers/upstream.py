"""What stands behind every candidate: two addresses that answer from memory and cost little."""

import grp
import json
import os
import pwd
import shutil
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.local.ports import free_port
from tests.bench.gateway_peers.processes import running, write_config

KIB = 1024
_AROUND = 80  # bytes of the small answer that are not filling: its target, which differs, and the syntax


@contextmanager
def upstream(
    folder: Path, nginx: str, core: int | None, about: Sequence[str] = ()
) -> Iterator[tuple[int, int]]:
    """An nginx with two ports: about 1 KiB of JSON under /v1/, 64 KiB under /v1/documents/, whatever is sent.

    `about` are header lines that each answer has besides, as nginx's `add_header` takes them.
    """
    first, second = free_port(), free_port()
    documents = folder / "upstream"
    documents.mkdir()
    (documents / "document.json").write_text(_document(64 * KIB))
    config = write_config(
        "upstream.conf",
        folder,
        first=first,
        second=second,
        filling="f" * (KIB - _AROUND),
        about="\n    ".join(f"add_header {line};" for line in about),
        **owner(),
    )
    question = urllib.request.Request(f"http://127.0.0.1:{second}/readyz")
    output = folder / "upstream.txt"
    with running(nginx_command(nginx, config), output, core=core, question=question):
        yield first, second


def requests_seen(port: int) -> int:
    """How many requests it has had, this question among them."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/requests") as answer:
        return int(answer.read().split(b"\n")[2].split()[2])


def nginx_command(nginx: str, config: Path) -> list[str]:
    """An nginx that touches nothing outside of its folder."""
    return [nginx, "-p", str(config.parent), "-e", "stderr", "-c", str(config)]


def owner() -> dict[str, str]:
    """As whom nginx's workers run: started by root they would otherwise lose access to the folder."""
    return {"user": pwd.getpwuid(os.geteuid()).pw_name, "group": grp.getgrgid(os.getegid()).gr_name}


def find_nginx() -> str | None:
    """Debian keeps it where only root looks."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def _document(size: int) -> str:
    around = len(json.dumps({"document": ""}))
    return json.dumps({"document": "d" * (size - around)})
