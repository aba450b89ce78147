"""A proxy for tests: HTTP with CONNECT, or SOCKS 5, with credentials if a test wants them."""

from __future__ import annotations

import base64
import re
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Literal
from urllib.parse import urlsplit


@dataclass
class RunningProxy:
    """A proxy that runs.

    Attributes:
        url: with the credentials that it wants.
        seen: what it was asked for: `CONNECT host:port`, `GET http://…`.
        refused: how many requests came without its credentials.
    """

    url: str = ""
    seen: list[str] = field(default_factory=list)
    refused: int = 0


class _Server(ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    proxy: RunningProxy
    login: str
    tls: ssl.SSLContext | None

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        if self.tls:
            connection = self.tls.wrap_socket(connection, server_side=True)
        return connection, address


class _Http(StreamRequestHandler):
    """Forwards one request, or tunnels."""

    server: _Server

    def handle(self) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return
            head += line
        method, place, _ = head.decode().split(" ", 2)
        expected = base64.b64encode(self.server.login.encode()).decode()
        if self.server.login and f"Basic {expected}" not in head.decode():
            self.server.proxy.refused += 1
            self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        self.server.proxy.seen.append(f"{method} {place}")
        if method == "CONNECT":
            host, _, port = place.rpartition(":")
            with _connected(host.strip("[]"), int(port)) as upstream:
                self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
                _join(self.connection, upstream)
            return
        parts = urlsplit(place)
        with _connected(str(parts.hostname), parts.port or 80) as upstream:
            path = f"{parts.path}?{parts.query}" if parts.query else parts.path
            changed = re.sub(rb"(?i)\r\nconnection: [^\r]*", b"\r\nConnection: close", head)
            upstream.sendall(changed.replace(place.encode(), path.encode(), 1))
            _join(self.connection, upstream)


class _Socks(StreamRequestHandler):
    """Tunnels; RFC 1928, with the credentials of RFC 1929."""

    server: _Server

    def handle(self) -> None:
        _, count = self.rfile.read(2)
        self.rfile.read(count)
        self.wfile.write(bytes((5, 2 if self.server.login else 0)))
        if self.server.login:
            self.rfile.read(1)
            login = f"{self._text()}:{self._text()}"
            self.wfile.write(bytes((1, login != self.server.login)))
            if login != self.server.login:
                self.server.proxy.refused += 1
                return
        kind = self.rfile.read(4)[3]
        host = self._text() if kind == 3 else socket.inet_ntoa(self.rfile.read(4))
        port = int.from_bytes(self.rfile.read(2))
        self.server.proxy.seen.append(f"CONNECT {host}:{port}")
        with _connected(host, port) as upstream:
            self.wfile.write(bytes((5, 0, 0, 1, 0, 0, 0, 0, 0, 0)))
            _join(self.connection, upstream)

    def _text(self) -> str:
        return self.rfile.read(self.rfile.read(1)[0]).decode()


def _connected(host: str, port: int) -> socket.socket:
    # names of tests lead to this machine
    return socket.create_connection(
        (host if host.replace(".", "").isdigit() else "127.0.0.1", port), timeout=30
    )


def _join(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until both sides have ended."""

    def carry(source: socket.socket, target: socket.socket) -> None:
        with (
            source.makefile("rb", buffering=0) as read,
            target.makefile("wb", buffering=0) as write,
        ):
            try:
                shutil.copyfileobj(read, write)
                target.shutdown(socket.SHUT_WR)
            except OSError:
                return  # a side that has gone ends the tunnel

    back = threading.Thread(target=carry, args=(other, one), daemon=True)
    back.start()
    carry(one, other)
    back.join()


@contextmanager
def proxy(
    kind: Literal["http", "https", "socks5"] = "http",
    login: str = "",
    tls: ssl.SSLContext | None = None,
) -> Iterator[RunningProxy]:
    """Run a proxy on a free loopback port.

    Args:
        kind: what it speaks; https: http within TLS.
        login: `user:password` that it wants, as they are meant; the URL has them encoded.
        tls: its certificate.
    """
    from urllib.parse import quote

    handler = _Socks if kind == "socks5" else _Http
    with _Server(("127.0.0.1", 0), handler) as server:
        user, _, password = login.partition(":")
        shown = f"{quote(user, safe='')}:{quote(password, safe='')}@" if login else ""
        server.login, server.tls = login, tls
        server.proxy = RunningProxy(f"{kind}://{shown}127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server.proxy
        finally:
            server.shutdown()
            thread.join()
