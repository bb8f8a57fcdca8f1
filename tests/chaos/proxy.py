"""A TCP proxy on loopback that spoils connections on demand: resets, stalls, latency, half-closes."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

PIECE = 1 << 16
ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends a reset. Source: socket(7)."""


class _Connection:
    """Both directions between one client and the server."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server

    def reset(self) -> None:
        for writer in (self.client, self.server):
            sock = writer.get_extra_info("socket")
            if sock is not None:
                try:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
                except OSError:
                    pass  # closed already
            writer.transport.abort()

    def half_close(self) -> None:
        """The client hears that the server has ended; what it says still arrives there."""
        if not self.client.transport.is_closing():
            self.client.write_eof()


class Proxy:
    """Listens on ``port`` of 127.0.0.1 and passes on to ``target``. Its calls are for any thread."""

    def __init__(self) -> None:
        self.target = 0
        self.passed = 0  # bytes
        self._latency = 0.0
        self._connections: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._listening = socket.socket()
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listening.bind(("127.0.0.1", 0))
        self._listening.listen(256)
        self.port: int = self._listening.getsockname()[1]
        self._open = asyncio.Event()
        self._thread = threading.Thread(target=self._live, name=f"proxy-{self.port}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    # --- what strikes ---------------------------------------------------------------------------

    def reset(self) -> None:
        """Every connection ends with a reset; new ones are taken."""
        self._do(self._reset_all)

    def stall(self) -> None:
        """Nothing passes, in either direction, on old connections and on new ones, until `flow`."""
        self._do(self._open.clear)

    def flow(self, *, after_reset: bool = False) -> None:
        """All passes again, and at once. ``after_reset``: the connections that had to wait are reset instead."""
        if after_reset:
            self.reset()
        self._do(self._open.set)
        self.delay(0.0)

    def delay(self, seconds: float) -> None:
        """Every piece waits so long."""
        self._latency = seconds

    def half_close(self) -> None:
        self._do(self._half_close_all)

    @property
    def connections(self) -> int:
        return len(self._connections)

    # --- its own thread -------------------------------------------------------------------------

    def _reset_all(self) -> None:
        for each in tuple(self._connections):
            each.reset()

    def _half_close_all(self) -> None:
        for each in tuple(self._connections):
            each.half_close()

    def _do(self, what: Callable[[], object]) -> None:
        async def done() -> None:
            what()

        self._run(done())

    def _run(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(timeout=10)

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._open.set()
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, sock=self._listening))
        self._loop.run_forever()
        server.close()
        self._reset_all()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        await self._open.wait()
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            to_client.transport.abort()  # as a port that nobody listens on: refused, a moment later
            return
        connection = _Connection(to_client, to_server)
        self._connections.add(connection)
        try:
            await asyncio.gather(
                self._pump(from_client, to_server), self._pump(from_server, to_client), return_exceptions=True
            )
        finally:
            self._connections.discard(connection)
            for writer in (to_client, to_server):
                writer.close()

    async def _pump(self, reading: asyncio.StreamReader, writing: asyncio.StreamWriter) -> None:
        """One direction until its end, which is passed on."""
        try:
            while piece := await reading.read(PIECE):
                if self._latency:
                    await asyncio.sleep(self._latency)
                await self._open.wait()
                writing.write(piece)
                await writing.drain()
                self.passed += len(piece)
        except OSError:
            writing.transport.abort()  # one side was reset: so is the other
            return
        except RuntimeError:
            return  # half-closed: what comes for this side is lost
        await self._open.wait()
        if not writing.transport.is_closing():
            try:
                writing.write_eof()
            except (OSError, RuntimeError):
                pass  # it has ended meanwhile
