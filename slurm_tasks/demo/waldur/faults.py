"""Faults that a test or a demo can order: the ways in which a server or a network fails."""

import re
from collections.abc import Callable
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
    "rewritten",
]


@dataclass(frozen=True)
class Fault:
    """One way to fail, and the requests that it strikes.

    `status` answers with `status` (503) and changes nothing; `delay` waits `seconds` first;
    `reset` closes the connection before the effect, `answer_lost` after it; `truncated` announces
    more than it sends; `empty` answers 200 without a body, the effect done; `redirect` answers
    with `status` (302); `wrong_shape` swaps lists and objects; `rewritten` passes the answer's
    JSON through `rewrite`, and changes its status if there is a `status`.
    """

    kind: Kind
    method: str | None
    path: re.Pattern[str]
    status: int | None
    seconds: float
    retry_after: int
    rewrite: Callable[[object], object]


class Faults:
    """The faults in force; each strikes a number of times, or until it is cleared."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._left: list[tuple[Fault, int, int | None]] = []

    def add(  # noqa: PLR0913 - the fields of a fault
        self,
        *,
        kind: Kind,
        method: str | None = None,
        path: str = "",
        after: int = 0,
        times: int | None = 1,
        status: int | None = None,
        seconds: float = 0.0,
        retry_after: int = 1,
        rewrite: Callable[[object], object] = lambda body: body,
    ) -> None:
        """Strike requests whose method is `method` and whose URL the regex `path` finds.

        The first `after` of them are let through. The URL is the path, with the query if any.
        """
        fault = Fault(kind, method, re.compile(path), status, seconds, retry_after, rewrite)
        with self._lock:
            self._left.append((fault, after, times))

    def clear(self) -> None:
        """End all faults."""
        with self._lock:
            self._left.clear()

    @property
    def waiting(self) -> bool:
        """Whether there are faults that have yet to strike."""
        with self._lock:
            return bool(self._left)

    def strike(self, method: str, url: str) -> Fault | None:
        """Return the first fault for a request, and count it."""
        with self._lock:
            for index, (fault, after, times) in enumerate(self._left):
                if fault.method not in (None, method) or not fault.path.search(url):
                    continue
                if after:
                    self._left[index] = (fault, after - 1, times)
                    continue
                if times is not None and times <= 1:
                    del self._left[index]
                elif times is not None:
                    self._left[index] = (fault, after, times - 1)
                return fault
        return None
