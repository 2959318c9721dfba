"""How the parts of a topology are kept running: each process as a program of the supervisor."""

import asyncio
import os
import signal
from pathlib import Path

from deploy.local.children import Launch
from deploy.local.http_probe import answers_ok
from deploy.local.postgres import PostgresServer
from deploy.local.postgres_binaries import PostgresError
from deploy.local.postgres_cluster import failure_in
from deploy.local.supervisor import Program, StartError
from deploy.local.topology import Process

PROJECT = Path(__file__).resolve().parents[2]


def service_launch(process: Process) -> Launch:
    """How to start a service's process: our environment, overridden by what the topology says."""
    paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",  # a log line is worth most just before a death
        **process.environment,
    }
    return Launch(process.arguments, environment, directory=str(PROJECT))


def service_program(process: Process) -> Program:
    """A process that is ready once it answers 200 on /readyz.

    A worker has no port: it is ready as soon as it runs, and may end when its service has no jobs.
    """
    launch = service_launch(process)

    async def launch_again() -> Launch:
        return launch

    async def is_ready(_: int) -> bool:
        return process.port is None or await answers_ok(process.port, "/readyz")

    return Program(process.name, launch_again, is_ready, may_finish=process.port is None)


def postgres_program(server: PostgresServer) -> Program:
    """The database server, which before each start has to get its files in order."""

    async def launch() -> Launch:
        try:
            await asyncio.to_thread(server.prepare)
            return server.launch()
        except PostgresError as error:
            raise StartError(str(error)) from error

    async def is_ready(pid: int) -> bool:
        return server.is_ready(pid)

    return Program(
        "postgres",
        launch,
        is_ready,
        stop_signal=signal.SIGINT,  # fast shutdown: sessions are cut, the log is complete
        kill_signal=signal.SIGQUIT,  # immediate shutdown, which takes its own children along
        explain=lambda lines: failure_in("\n".join(lines), server.cluster),
    )
