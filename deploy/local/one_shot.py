"""Processes that do one thing and end."""

import asyncio
from collections.abc import Callable

from deploy.local.children import Launch, exit_status, kill_group
from deploy.local.output import OutputPipe


async def run_once(launch: Launch, take_line: Callable[[str], None]) -> int:
    """Run a process to its end, giving each line it writes to `take_line`; its status.

    Cancelling kills it.
    """
    output = OutputPipe(take_line)
    try:
        await output.open()
        process = launch.spawn(output.write_end)
        try:
            return await exit_status(process)
        except asyncio.CancelledError:
            kill_group(process)
            process.wait()
            raise
    finally:
        await output.close()
