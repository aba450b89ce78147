"""A server that answers what it is told to, byte for byte, and remembers what it was asked."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

JSON = "application/json"
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True)
class Answer:
    """One answer; `length` announces another length than the body has."""

    status: int = 200
    body: str = ""
    kind: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None


@dataclass
class Scripted:
    """The server.

    Attributes:
        url: of its API.
        answers: what it says, in turn; the last one from then on.
        asked: method and path (with query) of each request.
        headers: of each request.
        bodies: of each request.
    """

    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def say(self, answers: Sequence[Answer]) -> None:
        """Say these from now on."""
        self.answers = list(answers)

    def next(self) -> Answer:
        """Return the next answer."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def scripted(tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """Serve on a free port, by TLS with what shows a certificate."""
    script = Scripted(answers=[Answer(body="{}")])

    class Handler(BaseHTTPRequestHandler):
        """Answers one request."""

        def _answer(self) -> None:
            script.bodies.append(self.rfile.read(int(self.headers.get("content-length", 0))))
            script.asked.append(f"{self.command} {self.path}")
            script.headers.append(dict(self.headers.items()))
            answer = script.next()
            body = answer.body.encode(errors="surrogateescape")
            self.send_response(answer.status)
            if answer.kind:
                self.send_header("Content-Type", answer.kind)
            length = len(body) if answer.length is None else answer.length
            self.send_header("Content-Length", str(length))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        script.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}/api/"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield script
        finally:
            server.shutdown()
            thread.join()
