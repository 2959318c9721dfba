"""The one-machine deployment from its start to its end: what `make run` does is spelled here, in order."""

import asyncio
import hashlib
import json
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local import report, seeding
from deploy.local.children import describe_status
from deploy.local.credentials import load_or_make, write_private
from deploy.local.data_directory import DataDirectory
from deploy.local.databases import Progress, create_databases, fingerprint
from deploy.local.logs import Console, LogSink
from deploy.local.one_shot import run_once
from deploy.local.ports import free_ports
from deploy.local.postgres import PostgresServer
from deploy.local.programs import PROJECT, postgres_program, service_launch, service_program
from deploy.local.supervisor import OWN_NAME, StartError, Supervisor
from deploy.local.topology import (
    PROCESS_NAMES_WIDTH,
    REPLICAS,
    SERVICES,
    Command,
    Process,
    Topology,
    module_command,
)

# Wrappers such as timeout(1) signal the process and its group: that is one wish, not two.
_SAME_SIGNAL_S = 0.2


@dataclass(frozen=True, slots=True)
class Options:
    """What the person at the keyboard chose; the last three are for tests."""

    port: int
    json_logs: bool = False
    migrate_only: bool = False
    demo: bool = True
    command: Command = module_command
    migrations: Path = PROJECT / "services"
    """Holds <service>/migrations."""
    generator: str = seeding.GENERATOR


async def run(options: Options, data: DataDirectory, console: Console) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP, then stop everything. A second signal stops it at once.

    Raises StartError, CredentialsError, PostgresError or OSError when the suite does not come up.
    """
    sink = LogSink(data.logs, console, json_lines=options.json_logs, width=PROCESS_NAMES_WIDTH)
    supervisor = Supervisor(sink)
    suite = _Suite(options, data, sink, console, supervisor)
    stop = asyncio.Event()
    told_at = 0.0

    def on_signal() -> None:
        nonlocal told_at
        now = time.monotonic()
        if not stop.is_set():
            told_at = now
            stop.set()
        elif now - told_at > _SAME_SIGNAL_S:
            supervisor.kill()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    try:
        await _until(stop, suite.migrate_only() if options.migrate_only else suite.serve())
    finally:
        stop.set()  # from here on, a signal means: at once
        console.status("")
        await supervisor.stop()
        sink.close()


class _Suite:
    def __init__(
        self, options: Options, data: DataDirectory, sink: LogSink, console: Console, supervisor: Supervisor
    ) -> None:
        self._options = options
        self._data = data
        self._sink = sink
        self._console = console
        self._supervisor = supervisor
        self._began = time.monotonic()

    async def serve(self) -> None:
        """Bring everything up, say so, and keep it up."""
        server, topology = await self._start_database()
        await self._migrate(server, topology, even_if_done=False)
        write_private(topology.gateway_config_file, topology.gateway_document())
        seed = asyncio.create_task(self._seed(server, topology))
        try:
            # One replica of each service can serve; loading the rest would only delay the first answer.
            first, further = topology.replicas_in_turn()
            await self._supervisor.start(
                [service_program(process) for process in first], [service_program(topology.gateway())]
            )
            await seed
        finally:
            seed.cancel()
        self._report(topology)
        # Two groups, so that background jobs load last; both are stopped before the gateway, which retries meanwhile.
        await self._supervisor.start([service_program(process) for process in further])
        await self._supervisor.start([service_program(process) for process in topology.workers()])
        await self._supervisor.watch()

    async def migrate_only(self) -> None:
        """Bring the databases to the newest schema."""
        server, topology = await self._start_database()
        await self._migrate(server, topology, even_if_done=True)
        self._say("The databases are at the newest schema.")

    async def _start_database(self) -> tuple[PostgresServer, Topology]:
        credentials = load_or_make(
            self._data.secrets,
            services=SERVICES,
            data_exists=(self._data.postgres / "cluster").exists(),
        )
        ports = free_ports(2 + len(SERVICES) * REPLICAS)
        server = PostgresServer(self._data.postgres, password=credentials.admin_password, port=ports.pop())
        await self._supervisor.start([postgres_program(server)])
        passwords = credentials.passwords
        state = hashlib.sha256(json.dumps(passwords).encode()).hexdigest()
        progress = Progress(server.home / "progress")
        if not progress.is_done("databases", state):
            await asyncio.to_thread(create_databases, server, passwords)
            progress.done("databases", state)
        topology = Topology(
            gateway_port=self._options.port,
            ports={service: [ports.pop() for _ in range(REPLICAS)] for service in SERVICES},
            database_urls={
                service: server.url(service, role=service, password=passwords[service])
                for service in SERVICES
            },
            credentials=credentials,
            gateway_config_file=self._data.run / "gateway.yaml",
            admin_port=ports.pop(),
            command=self._options.command,
            log_format="json" if self._options.json_logs else "text",
        )
        return server, topology

    async def _migrate(self, server: PostgresServer, topology: Topology, *, even_if_done: bool) -> None:
        """Migrate the databases whose migration files are not those of the last time, all at once."""
        progress = Progress(server.home / "progress")
        wanted = {
            service: fingerprint(self._options.migrations / service / "migrations") for service in SERVICES
        }
        due = [s for s in SERVICES if even_if_done or not progress.is_done(f"{s}-schema", wanted[s])]
        statuses = await asyncio.gather(*(self._run_once(topology.migration(s)) for s in due))
        for service, status in zip(due, statuses, strict=True):
            if status != 0:
                words = self._sink.last_words(f"{service}-migrate")
                raise StartError(f"The migration of {service} {describe_status(status)}. {words}")
            progress.done(f"{service}-schema", wanted[service])

    async def _run_once(self, process: Process) -> int:
        return await run_once(service_launch(process), lambda line: self._sink.write(process.name, line))

    async def _seed(self, server: PostgresServer, topology: Topology) -> None:
        """Fill the demo workspace unless that was done. The suite is of use without: failing is only told."""
        progress = Progress(server.home / "progress")
        tenant = topology.credentials.tenant_id
        if not self._options.demo or progress.is_done("demo", str(tenant)):
            return
        answers: dict[str, Any] = {}

        def take(line: str) -> None:
            try:
                answers.update(json.loads(line))
            except ValueError:
                self._sink.write("demo", line)
            else:
                self._console.status(report.bar(answers.get("done", 0), answers.get("total", 0)))

        order = seeding.order(topology.database_urls, tenant, generator=self._options.generator)
        process = Process("demo", seeding.command(), order)
        status = await run_once(service_launch(process), take)
        self._console.status("")
        if answers.get("missing"):
            self._say("There is no generator of demo data here: the workspace starts empty.")
        elif status != 0:
            self._say(f"Filling the demo workspace {describe_status(status)}: the next start tries again.")
        else:
            progress.done("demo", str(tenant))
            self._say(f"The demo workspace is filled: {answers.get('done', 0):,} records.")

    def _report(self, topology: Topology) -> None:
        facts = report.Facts(
            port=topology.gateway_port,
            api_key=topology.credentials.api_key,
            api_key_file=self._data.secrets / "demo.json",
            admin_port=topology.admin_port,
            admin_key_file=topology.credentials.gateway_admin_key_file,
            logs=self._data.logs,
            seconds=time.monotonic() - self._began,
        )
        lines = [report.as_json(facts)] if self._options.json_logs else report.closing_words(facts)
        for line in lines:
            self._console.line(line)

    def _say(self, sentence: str) -> None:
        self._sink.write(OWN_NAME, sentence)


async def _until(stop: asyncio.Event, work: Any) -> None:
    """Run the coroutine to its end, or cancel it when told to stop."""
    working = asyncio.ensure_future(work)
    waiting = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        working.cancel()
        waiting.cancel()
        await asyncio.gather(working, waiting, return_exceptions=True)
