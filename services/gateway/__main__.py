"""`python -m services.gateway [--config FILE]`: serve until SIGTERM or SIGINT, then drain and exit 0."""

import argparse
import os
import sys
from typing import TYPE_CHECKING

from services.gateway.control.spawning import Spawned, spawn_worker

if TYPE_CHECKING:
    from services.gateway.settings import GatewaySettings


def main() -> None:
    """Read the environment and the files it names, then serve; one clear sentence when either is wrong."""
    arguments = _parser().parse_args()
    for name, value in vars(arguments).items():
        if value is not None:
            os.environ[f"GATEWAY_{name.upper()}"] = value
    spawned = spawn_worker()
    try:
        _serve(spawned)
    finally:
        spawned.kill()


def _serve(spawned: Spawned) -> None:
    # While the worker that was just started does the same.
    from services.gateway.control import parent  # noqa: PLC0415 - see above
    from services.gateway.server import listen  # noqa: PLC0415 - see above
    from shared.logs.setup import configure_logging  # noqa: PLC0415 - see above

    settings = _settings()
    configure_logging(settings.log_format, "gateway", settings.instance)
    admin = None
    if settings.admin_port is not None:
        admin = listen(settings.admin_host, settings.admin_port), _admin_key(settings)
    listener = listen(settings.host, settings.port)
    parent.run(settings, spawned, listener, admin)


def _admin_key(settings: "GatewaySettings") -> str:
    path = settings.admin_key_file
    try:
        key = path.read_text("ascii").strip() if path is not None else ""
    except (OSError, UnicodeDecodeError) as error:
        sys.exit(f"gateway: the admin API's key cannot be read: {error}")
    if len(key) < 16:
        sys.exit(f"gateway: the admin API's key in {path} is shorter than 16 characters")
    return key


def _settings() -> "GatewaySettings":
    from pydantic import ValidationError  # noqa: PLC0415 - as in `_serve`

    from services.gateway.settings import GatewaySettings  # noqa: PLC0415 - as in `_serve`

    try:
        return GatewaySettings()
    except ValidationError as error:
        complaints = [
            f"GATEWAY_{str(item['loc'][0]).upper()}: {item['msg']}" if item["loc"] else item["msg"]
            for item in error.errors()
        ]
        sys.exit(f"gateway: {'; '.join(complaints)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m services.gateway",
        description="The gateway; every option is also a variable of the environment, GATEWAY_CONFIG_FILE and so on.",
    )
    parser.add_argument("--config", dest="config_file", metavar="FILE", help="the document, see example.yaml")
    parser.add_argument("--host", help="the address to listen on (127.0.0.1)")
    parser.add_argument("--port", help="the port to listen on (8000)")
    return parser


if __name__ == "__main__":
    main()
