"""The writer's lock: one writer to a cluster at any time, across processes and hosts.

Concurrent `sacctmgr` writes corrupt slurmdbd's association tables with exit code 0 (measured on
22.05; on 26.05 they hang it), so this is no nicety. Two locks, each for what the other can't:

- the host lock, `flock` on a file whose descriptor the commands inherit: a command that outlives
  its killed worker keeps it until it ends;
- the shared lock in Redis, for writers on other hosts; it holds while Redis keeps the key.

The host lock's file holds the token by which its holders take the shared lock: who gets the host
lock also gets what a killed holder left of the other, instead of waiting until it expires.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from slurm_tasks.errors import LockHeldError, TransientError

_TOKEN_LEN = 32


class SharedLock(Protocol):
    """What is needed of a lock in Redis."""

    def take(self, token: str) -> bool:
        """Take it, also from a holder of the same token; else return False."""

    def reacquire(self) -> bool:
        """Start its time to live anew; raises when it is lost."""

    def release(self) -> None:
        """Give it back; raises when it is lost."""


class Writer:
    """The right to write to one cluster, held by `with`.

    Attributes:
        descriptor: the host lock's; commands inherit it.
    """

    def __init__(self, descriptor: int, shared: SharedLock | None) -> None:
        self.descriptor, self._shared = descriptor, shared

    def extend(self) -> None:
        """Keep the shared lock for another command.

        Raises:
            LockHeldError: it was lost, so that somebody else may be writing.
        """
        if self._shared:
            with _lost_is_held():
                self._shared.reacquire()


WriterLock = Callable[[], AbstractContextManager[Writer]]


@contextmanager
def writer(path: Path, shared: SharedLock | None) -> Iterator[Writer]:
    """Take both locks without waiting.

    Args:
        path: the host lock's file; made if it is missing.
        shared: the lock in Redis; None in tests and where one process is all there is.

    Raises:
        LockHeldError: somebody else writes at the moment.
    """
    descriptor = _open(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockHeldError(
                f"another process on this host writes to the cluster ({path})"
            ) from None
        if shared and not shared.take(_token(descriptor)):
            raise LockHeldError(
                "a worker elsewhere writes to the cluster (the lock in Redis is held)"
            )
        try:
            yield Writer(descriptor, shared)
        finally:
            if shared:
                with _lost_is_held():
                    shared.release()
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    """Open the lock's file; without O_CREAT first, which protected_regular forbids to others."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise TransientError(f"the writer's lock {path} can't be opened: {error}") from error
    try:
        descriptor = os.open(path, flags | os.O_CREAT, 0o666)
        os.fchmod(descriptor, 0o666)  # root at the shell and the service's user share it
    except OSError as error:
        raise TransientError(f"the writer's lock {path} can't be made: {error}") from error
    return descriptor


def _token(descriptor: int) -> str:
    """Return the token that the file holds, a new one at the first time."""
    token = os.pread(descriptor, _TOKEN_LEN, 0)
    if len(token) < _TOKEN_LEN:
        token = uuid4().hex.encode()
        os.pwrite(descriptor, token, 0)
    return token.decode()


@contextmanager
def _lost_is_held() -> Iterator[None]:
    from redis.exceptions import LockError

    try:
        yield
    except LockError as error:
        raise LockHeldError(f"the writer's lock in Redis was lost: {error}") from error
