"""The lightest possible question to a server: does it answer 200 on a path?"""

import asyncio

from deploy.local.ports import HOST

_TIMEOUT_S = 2.0


async def answers_ok(port: int, path: str) -> bool:
    """Whether `GET path` on that port of this machine is answered with status 200 within two seconds."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(
                    f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n".encode()
                )
                status_line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False  # not there yet, or overwhelmed: the caller asks again
    return status_line.split(b" ")[1:2] == [b"200"]
