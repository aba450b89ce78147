"""Serves an ASGI application from a thread, with uvicorn's HTTP protocol."""

import asyncio
import logging
import socket
import threading
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState


class TrackedProtocol(H11Protocol):
    """An HTTP connection whose transport the application finds in `scope["state"]`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Keep the transport where uvicorn copies each request's state from."""
        self.app_state = {**self.app_state, "transport": transport}
        # asyncio leaves Nagle's algorithm on for a listener that it did not make: 45 ms a request.
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)


class HttpThread:
    """A listening server, ready when it is entered, gone when it is left.

    uvicorn's own `Server` looks ten times a second whether it should end and then waits another
    tenth; a test suite starts hundreds of these.
    """

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        self._config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            log_level=logging.CRITICAL,
            access_log=False,
            date_header=False,  # the application has a clock of its own
        )
        self._listener = listener
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="waldur-simulator", daemon=True)

    def __enter__(self) -> Self:
        """Start to serve."""
        self._config.load()
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cut what is left of the connections and stop."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        state = ServerState()
        server = await self._loop.create_server(
            lambda: TrackedProtocol(self._config, state, {}), sock=self._listener
        )
        self._ready.set()
        await self._stop.wait()
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
