"""`python -m deploy.local` with fake services, in a process that tests can kill."""

import os
import sys
from pathlib import Path

from deploy.local.__main__ import main

FAKE_SERVICE = Path(__file__).with_name("fake_service.py")


def fake_command(service: str, *arguments: str) -> list[str]:
    """The fake's command line; isolated and without site packages, it starts in a blink."""
    return [sys.executable, "-I", "-S", str(FAKE_SERVICE), service, *arguments]


if __name__ == "__main__":
    sys.exit(main(command=fake_command, generator=os.environ.get("FAKE_GENERATOR", "tests.deploy.fake_demo")))
