"""The heartbeat by itself, and `slurm-tasks health`, which looks at it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner, Result
from redis.backoff import NoBackoff
from redis.retry import Retry

from slurm_tasks import heartbeat
from slurm_tasks.cli import main
from slurm_tasks.demo.stack import wait_until
from slurm_tasks.heartbeat import READY, WAITING, Heartbeat

PATIENCE = 10


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Name a file that is renewed swiftly."""
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.02)
    return tmp_path / "worker"


def age(path: Path, seconds: float) -> None:
    """Let a heartbeat have happened some seconds ago."""
    then = time.time() - seconds
    os.utime(path, (then, then))


def health(*argv: str) -> Result:
    """Run `slurm-tasks health`."""
    return CliRunner().invoke(main, ["health", *argv])


def test_a_beat_renews_the_file(file: Path) -> None:
    """It says that the process is ready, a moment ago."""
    Heartbeat(file).beat()
    state, seconds = heartbeat.look(file)

    assert state == READY
    assert seconds < PATIENCE


def test_without_a_file_a_beat_is_nothing() -> None:
    """HEARTBEAT_FILE is the switch."""
    Heartbeat(None).beat()


def test_a_process_that_starts_is_seen(file: Path) -> None:
    """Until the main loop begins the file is renewed for it."""
    Heartbeat(file)
    age(file, 1000)

    wait_until(lambda: heartbeat.look(file)[1] < 1000, "renewed", PATIENCE)
    assert heartbeat.look(file)[0] == WAITING


def test_a_loop_that_has_ended_is_excused(file: Path) -> None:
    """While the worker ends, or the broker is away, the thread goes on."""
    beating = Heartbeat(file)
    beating.beat()
    beating.rest()

    wait_until(lambda: heartbeat.look(file)[0] == WAITING, "renewed", PATIENCE)


def test_a_loop_that_stands_still_is_not_excused(file: Path) -> None:
    """A main thread that is late and not at the broker has no excuse: the file grows old."""
    beating = Heartbeat(file)
    beating.beat()
    beating._last -= 1000

    assert not beating._is_excused()


def _ping(client: redis.Redis) -> None:
    with pytest.raises(redis.RedisError):
        client.ping()


def test_who_waits_for_the_broker_is_seen() -> None:
    """A thread that hangs in redis-py is at the broker's, until it gives up."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        client = redis.Redis(port=mute.getsockname()[1], retry=Retry(NoBackoff(), 0))
        thread = threading.Thread(target=_ping, args=(client,))
        thread.start()
        wait_until(lambda: heartbeat.is_at_broker(thread), "the thread waits", PATIENCE)
        assert not heartbeat.is_at_broker(threading.current_thread())
    thread.join(PATIENCE)
    assert not heartbeat.is_at_broker(thread)


def test_a_file_that_cannot_be_written_is_found_at_the_start(tmp_path: Path) -> None:
    """Not when a probe has ended the process for it."""
    with pytest.raises(OSError, match="No such file"):
        Heartbeat(tmp_path / "missing" / "worker")


def test_a_disk_that_fills_up_ends_nothing(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A beat that can't be written is an error in the log."""
    beating = Heartbeat(file)
    file.unlink()
    file.mkdir()
    beating.beat()

    assert "can't be written" in caplog.text


def test_who_beats_is_healthy(file: Path) -> None:
    """Exit 0, with what it says of itself."""
    Heartbeat(file).beat()
    done = health(f"--file={file}", "--ready")

    assert (done.exit_code, done.output) == (0, "ready, 0 s ago\n")


def test_who_has_stopped_beating_is_not(tmp_path: Path) -> None:
    """Exit 1 after --max-age."""
    file = tmp_path / "worker"
    file.write_text(READY)
    age(file, 61)
    done = health(f"--file={file}")

    assert done.exit_code == 1
    assert "too old: ready, 61 s ago" in done.output


def test_who_waits_for_the_broker_lives_but_is_not_ready(tmp_path: Path) -> None:
    """Liveness and readiness differ."""
    file = tmp_path / "worker"
    file.write_text(WAITING)

    assert health(f"--file={file}").exit_code == 0
    assert health(f"--file={file}", "--ready").exit_code == 1


def test_who_never_began_is_not_healthy(tmp_path: Path) -> None:
    """A file that isn't there is told as such."""
    done = health(f"--file={tmp_path / 'worker'}")

    assert done.exit_code == 1
    assert "no heartbeat in" in done.output


def test_the_file_is_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In the process's own environment a probe needs no option."""
    file = tmp_path / "worker"
    file.write_text(READY)
    monkeypatch.setenv("HEARTBEAT_FILE", str(file))

    assert health().exit_code == 0


def test_a_probe_loads_next_to_nothing(tmp_path: Path) -> None:
    """Neither Celery nor pydantic nor a logger: it runs every few seconds on each machine."""
    file = tmp_path / "worker"
    file.write_text(READY)
    code = (
        "import sys; from slurm_tasks.cli import main\n"
        f"main(['health', '--file={file}'], standalone_mode=False); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not set(done.stdout.split()) & {
        *("celery", "kombu", "redis", "pydantic", "structlog", "httpx"),
        *("prometheus_client", "sentry_sdk", "rich", "slurm_tasks.settings"),
    }
