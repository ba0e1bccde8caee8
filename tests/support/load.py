"""Sends deploys at a fixed rate over many connections, whether or not the answers keep up (an open loop)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import Any

_CONNECTIONS = 64


@dataclass
class Load:
    """`latencies`: seconds from when a message was due to its answer; `acknowledged`: deploy ids answered with 202."""

    port: int
    rate: float
    services: int
    sent: int = 0
    latencies: list[float] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def run(self, seconds: float) -> None:
        """Ends early once the server is gone."""
        asyncio.run(self._run(seconds))

    async def _run(self, seconds: float) -> None:
        due: asyncio.Queue[float] = asyncio.Queue()
        async with asyncio.TaskGroup() as tasks:
            senders = [tasks.create_task(self._send(due)) for _ in range(_CONNECTIONS)]
            began = time.perf_counter()
            for number in range(int(seconds * self.rate)):
                at = began + number / self.rate
                await asyncio.sleep(max(at - time.perf_counter(), 0.0))
                if all(sender.done() for sender in senders):
                    return
                due.put_nowait(at)
            for _ in senders:
                due.put_nowait(-1.0)

    async def _send(self, due: asyncio.Queue[float]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):  # what was not answered is not acknowledged
            while (at := await due.get()) >= 0:
                self.sent += 1
                writer.write(self._message(self.sent))
                status, body = await _answer(reader)
                self.latencies.append(time.perf_counter() - at)
                if status == 202:
                    self.acknowledged.append(json.loads(body)["deploy_id"])
                else:
                    self.refused.append(f"{status} {body!r}")
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    def _message(self, number: int) -> bytes:
        deploy: dict[str, Any] = {
            "id": f"load-{number}",
            "service": f"service-{number % self.services}",
            "environment": "production",
            "version": f"v{number}",
        }
        body = json.dumps(deploy).encode()
        head = (
            "POST /hooks/ci HTTP/1.1\r\nhost: watcher\r\ncontent-type: application/json\r\nauthorization: Bearer t\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").lower().split("\r\n")
    length = next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length:"))
    return int(lines[0].split()[1]), await reader.readexactly(length)
