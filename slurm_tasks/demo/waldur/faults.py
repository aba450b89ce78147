"""Faults that a test or a demo can order: the ways in which a server or a network fails."""

import re
from dataclasses import dataclass
from threading import Lock
from typing import Literal

Kind = Literal[
    "status",
    "delay",
    "reset",
    "answer_lost",
    "truncated",
    "empty",
    "redirect",
    "wrong_shape",
]


@dataclass(frozen=True)
class Fault:
    """One way to fail, and the requests that it strikes.

    `status` answers with `status` and changes nothing; `delay` waits `seconds` first; `reset`
    closes the connection before the effect, `answer_lost` after it; `truncated` announces more
    than it sends; `empty` answers 200 without a body, the effect done; `redirect` answers 302;
    `wrong_shape` swaps lists and objects.
    """

    kind: Kind
    method: str | None
    path: re.Pattern[str]
    status: int
    seconds: float
    retry_after: int


class Faults:
    """The faults in force; each strikes a number of times, or until it is cleared."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._left: list[tuple[Fault, int | None]] = []

    def add(
        self,
        *,
        kind: Kind,
        method: str | None = None,
        path: str = "",
        times: int | None = 1,
        status: int = 503,
        seconds: float = 0.0,
        retry_after: int = 1,
    ) -> None:
        """Strike requests whose method is `method` and whose path the regex `path` finds."""
        fault = Fault(kind, method, re.compile(path), status, seconds, retry_after)
        with self._lock:
            self._left.append((fault, times))

    def clear(self) -> None:
        """End all faults."""
        with self._lock:
            self._left.clear()

    def strike(self, method: str, path: str) -> Fault | None:
        """Return the first fault for a request, and count it."""
        with self._lock:
            for index, (fault, times) in enumerate(self._left):
                if fault.method not in (None, method) or not fault.path.search(path):
                    continue
                if times is not None and times <= 1:
                    del self._left[index]
                elif times is not None:
                    self._left[index] = (fault, times - 1)
                return fault
        return None
