"""A service's commands: serve one replica, migrate its database, run its background jobs."""

import asyncio
import logging
import os
import signal
import sys
from types import FrameType

import uvicorn

from shared.events.keeping import keep_event_log
from shared.logs.setup import configure_logging
from shared.service.application import create_app, make_parts
from shared.service.definition import Service
from shared.service.protocol import timed_by
from shared.service.settings import ServiceSettings
from shared.service.sweeping import sweep_idempotency_keys
from shared.telemetry.metrics.export import configure_metrics_export
from shared.telemetry.setup import Telemetry, configure
from shared.telemetry.stopwatch import LoopWork
from shared.version import VERSION

_GRACE_S = 10
_STOPS = (signal.SIGTERM, signal.SIGINT)


def main(service: Service) -> None:
    """`python -m services.<name> [serve|migrate|worker]`."""
    command = sys.argv[1] if len(sys.argv) > 1 else "serve"
    commands = {"serve": serve, "migrate": migrate_database, "worker": work}
    if command not in commands:
        sys.exit(f"There is no command {command!r}; there are {', '.join(commands)}.")
    settings = service.settings()
    configure_logging(settings.log_format, service=service.name, instance=settings.instance, level="INFO")
    commands[command](service, settings)


def serve(service: Service, settings: ServiceSettings) -> None:
    """One replica, until SIGTERM or SIGINT; running requests are finished first."""
    # Once drained, uvicorn raises the signal again for whoever handled it before: then it ends us, with 0.
    for signal_number in _STOPS:
        signal.signal(signal_number, _leave)
    work = LoopWork()
    export = configure_metrics_export(
        service.name, version=VERSION, instance_id=settings.instance, environ=os.environ
    )
    app = create_app(service, settings, _telemetry(service, settings), work, export)
    uvicorn.run(
        app,
        http=timed_by(work),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
        timeout_keep_alive=75,
    )


def migrate_database(service: Service, settings: ServiceSettings) -> None:
    """The newest schema, then the end."""
    # It lists its own parts while it is imported: six lines for each service.
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
    from shared.database.migrations import migrate  # noqa: PLC0415 (Alembic is loaded only to migrate)

    migrate(settings.database_url.get_secret_value(), service.migrations)


def work(service: Service, settings: ServiceSettings) -> None:
    """The service's background jobs, until SIGTERM or SIGINT."""
    asyncio.run(_work(service, settings))


async def _work(service: Service, settings: ServiceSettings) -> None:
    telemetry = _telemetry(service, settings)
    parts = make_parts(service, settings)
    await parts.database.open()
    jobs = asyncio.gather(*(job(parts) for job in (*service.jobs, sweep_idempotency_keys, keep_event_log)))
    stopping = asyncio.Event()

    def stop() -> None:
        stopping.set()
        jobs.cancel()

    for signal_number in _STOPS:
        asyncio.get_running_loop().add_signal_handler(signal_number, stop)
    try:
        await jobs
    except asyncio.CancelledError:
        # What was gathered ends with this error without counting as cancelled itself.
        if not stopping.is_set():
            raise
    finally:
        await parts.database.close()
        await asyncio.to_thread(telemetry.shutdown)


def _leave(_signal_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _telemetry(service: Service, settings: ServiceSettings) -> Telemetry:
    return configure(service.name, version=VERSION, instance_id=settings.instance, environ=os.environ)
