"""`python -m deploy.local`: the whole suite on this machine, in the foreground."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.local.credentials import CredentialsError
from deploy.local.data_directory import DataDirectory, DataDirectoryError, open_data_directory
from deploy.local.logs import Console
from deploy.local.ports import port_is_free
from deploy.local.postgres_binaries import PostgresError
from deploy.local.report import complain
from deploy.local.seeding import GENERATOR
from deploy.local.suite import Options, run
from deploy.local.supervisor import StartError
from deploy.local.topology import Command, module_command

_HIGHEST_PORT = 65_535


class PortError(Exception):
    """The port cannot be had; the message is one sentence."""


def main(
    arguments: Sequence[str] | None = None,
    *,
    command: Command = module_command,
    generator: str = GENERATOR,
) -> int:
    """Serve until stopped; the exit status. Each foreseeable failure is one sentence on standard error."""
    chosen = _parser().parse_args(arguments)
    options = Options(
        port=chosen.port,
        json_logs=chosen.json_logs,
        migrate_only=chosen.migrate_only,
        demo=chosen.demo,
        command=command,
        generator=generator,
    )
    try:
        with open_data_directory(chosen.data) as data:
            if not options.migrate_only:
                _require_port(options.port)
            _run(options, data)
    except (DataDirectoryError, PortError, CredentialsError, PostgresError, StartError) as error:
        complain(str(error))
        return 1
    except OSError as error:  # a full disk, a file taken away or closed to us: the system's words name it
        complain(str(error))
        return 1
    return 0


def _run(options: Options, data: DataDirectory) -> None:
    console = Console(sys.stdout)
    try:
        asyncio.run(run(options, data, console))
    finally:
        console.close()


def _require_port(port: int) -> None:
    try:
        free = port_is_free(port)
    except PermissionError:
        raise PortError(
            f"Port {port} needs privileges this user does not have: choose another, PORT=8000."
        ) from None
    if not free:
        raise PortError(f"Port {port} of 127.0.0.1 is in use: choose another, for instance PORT={port + 1}.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    parser.add_argument("--port", type=_port, default=8000, help="where the gateway listens on 127.0.0.1")
    parser.add_argument("--data", type=Path, default=Path(".data"), help="where everything is kept")
    parser.add_argument("--json-logs", action="store_true", help="one JSON object per line")
    parser.add_argument("--migrate-only", action="store_true", help="migrate the databases and end")
    parser.add_argument("--no-demo", dest="demo", action="store_false", help="start with an empty workspace")
    return parser


def _port(text: str) -> int:
    port = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= port <= _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text} is not a port (1 to {_HIGHEST_PORT})")
    return port


if __name__ == "__main__":
    sys.exit(main())
