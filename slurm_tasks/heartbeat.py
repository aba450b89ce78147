"""The heartbeat: a file that a process's main loop renews, for `slurm-tasks health`.

A broker that is away or hangs holds the main loop up, and nothing must be restarted for that: a
thread renews the file in its place, as long as it sees the main thread at the broker's.
"""

import logging
import sys
import threading
import time
from pathlib import Path

log = logging.getLogger(__name__)

INTERVAL = 5.0
"""Seconds between two renewals."""
READY, WAITING = "ready", "waiting for the broker"
_BROKER = ("redis.", "kombu.connection")
"""Modules that wait for the broker: for minutes in the middle of Celery's loops, if it hangs."""


class Heartbeat:
    """A process's sign of life.

    Args:
        path: the file; None: there is none.

    Raises:
        OSError: it can't be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._resting = True
        self._last = 0.0
        self._lock = threading.Lock()
        if path:
            self._write(path, WAITING)
            threading.Thread(
                target=self._watch, args=(path,), name="heartbeat", daemon=True
            ).start()

    def beat(self) -> None:
        """Renew the file: the main loop goes round, and takes work."""
        with self._lock:
            self._resting, self._last = False, time.monotonic()
            if self._path:
                self._try(self._path, READY)

    def rest(self) -> None:
        """Leave it to the thread until the next beat: the loop has ended."""
        with self._lock:
            self._resting = True

    def _watch(self, path: Path) -> None:
        while True:
            time.sleep(INTERVAL)
            with self._lock:
                if self._is_excused():
                    self._try(path, WAITING)

    def _is_excused(self) -> bool:
        """Tell whether the main loop need not beat at the moment."""
        late = time.monotonic() - self._last > 1.5 * INTERVAL
        return self._resting or (late and is_at_broker(threading.main_thread()))

    def _try(self, path: Path, state: str) -> None:
        try:
            self._write(path, state)
        except OSError:  # a full disk must not end what otherwise works
            log.exception("the heartbeat %s can't be written", path)

    def _write(self, path: Path, state: str) -> None:
        fresh = path.with_name(f"{path.name}.new")
        fresh.write_text(state, encoding="utf-8")
        fresh.replace(path)  # whole at once: a reader never finds it empty


def is_at_broker(thread: threading.Thread) -> bool:
    """Tell whether a thread is waiting for the broker at the moment."""
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001 - documented for this
    while frame:
        if str(frame.f_globals.get("__name__")).startswith(_BROKER):
            return True
        frame = frame.f_back
    return False


def look(path: Path) -> tuple[str, float]:
    """Return what a process says of itself, and how many seconds ago.

    Raises:
        OSError: there is no such file.
    """
    return path.read_text(encoding="utf-8", errors="replace"), time.time() - path.stat().st_mtime
