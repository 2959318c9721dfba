"""`python -m services.gateway [--config FILE]`: serve until SIGTERM or SIGINT, then drain and exit 0."""

import argparse
import os

from services.gateway.control.spawning import spawn_worker


def main() -> None:
    """Serve by the environment and the files it names; one clear sentence when either is wrong."""
    for name, value in vars(_parser().parse_args()).items():
        if value is not None:
            os.environ[f"GATEWAY_{name.upper()}"] = value
    spawned = spawn_worker(first=True)
    try:
        from services.gateway.control.parent import run  # noqa: PLC0415 - while the worker does the same

        run(spawned)
    finally:
        spawned.kill()


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
