"""The writer's lock: one writer to a cluster at any time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis.exceptions import LockError

from slurm_tasks.errors import LockHeldError, TransientError
from slurm_tasks.slurm import lock

HOLDER = """
import pathlib, sys
from slurm_tasks.slurm import lock
with lock.writer(pathlib.Path(sys.argv[1]), None):
    print("held", flush=True)
    sys.stdin.read()
"""


class FakeShared:
    """A lock in Redis: free or held by others, and it may be lost on the way."""

    def __init__(self, *, free: bool = True) -> None:
        self.free, self.lost, self.calls = free, False, list[str]()
        self.tokens: list[str] = []

    def take(self, token: str) -> bool:
        """Take it if it is free."""
        self.calls.append("take")
        self.tokens.append(token)
        return self.free

    def reacquire(self) -> bool:
        """Extend it, unless it was lost."""
        self.calls.append("reacquire")
        return self._held()

    def release(self) -> None:
        """Give it back, unless it was lost."""
        self.calls.append("release")
        self._held()

    def _held(self) -> bool:
        if self.lost:
            raise LockError("Cannot reacquire a lock that's no longer owned")
        return True


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the lock's file will be."""
    return tmp_path / "writer.lock"


@contextmanager
def another_process(path: Path) -> Iterator[None]:
    """Hold the lock in another process."""
    argv = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        assert child.stdout.readline() == "held\n"
        yield
        child.communicate()
    assert child.returncode == 0


def take(path: Path, shared: FakeShared | None = None) -> None:
    """Take the lock and give it back."""
    with lock.writer(path, shared):
        pass


def assert_held(path: Path) -> None:
    """Make sure that nobody gets the lock."""
    with pytest.raises(LockHeldError, match="another process on this host"):
        take(path)


def test_another_process_on_the_host_is_refused_at_once(path: Path) -> None:
    """Who comes second doesn't wait; when the first is done, the next gets it."""
    with another_process(path):
        assert_held(path)

    take(path)


def test_a_second_writer_in_the_same_process_is_refused(path: Path) -> None:
    """Threads of one worker are two writers as well."""
    with lock.writer(path, None):
        assert_held(path)


def test_a_failure_gives_the_lock_back(path: Path) -> None:
    """An exception inside ends the writer's right as the normal way does."""
    shared = FakeShared()

    with pytest.raises(ZeroDivisionError), lock.writer(path, shared):
        _ = 1 / 0

    take(path)
    assert shared.calls == ["take", "release"]


def test_an_orphaned_command_keeps_the_lock_until_it_ends(path: Path) -> None:
    """A command that inherited the descriptor outlives its worker: nobody writes beside it."""
    with lock.writer(path, None) as writer:
        orphan = subprocess.Popen(["sleep", "60"], pass_fds=(writer.descriptor,))
    try:
        assert_held(path)
    finally:
        orphan.kill()
        orphan.wait()

    take(path)


def test_other_programs_do_not_inherit_the_lock(path: Path) -> None:
    """Only commands that are handed the descriptor keep it."""
    with lock.writer(path, None) as writer:
        assert not os.get_inheritable(writer.descriptor)


def test_a_writer_on_another_host_is_refused_too(path: Path) -> None:
    """The lock in Redis is held: the host's lock is given back."""
    with pytest.raises(LockHeldError, match="a worker elsewhere"):
        take(path, FakeShared(free=False))

    take(path)


def test_the_host_is_asked_before_redis(path: Path) -> None:
    """Who is refused on the host never takes the shared lock from others."""
    shared = FakeShared()

    with lock.writer(path, None), pytest.raises(LockHeldError):
        take(path, shared)

    assert shared.calls == []


def test_each_holder_on_a_host_has_the_same_token(path: Path) -> None:
    """So that what a killed one left at the broker is known to be nobody's."""
    shared, elsewhere = FakeShared(), FakeShared()

    take(path, shared)
    take(path, shared)
    take(path.with_name("other.lock"), elsewhere)

    first, second = shared.tokens
    assert first == second
    assert [first] != elsewhere.tokens


def test_the_shared_lock_is_extended_on_demand(path: Path) -> None:
    """Before each command its time to live starts anew."""
    shared = FakeShared()

    with lock.writer(path, shared) as writer:
        writer.extend()

    assert shared.calls == ["take", "reacquire", "release"]


def test_a_lost_shared_lock_stops_the_writer(path: Path) -> None:
    """Somebody else may be writing by now: the next command is not run."""
    shared = FakeShared()

    def write() -> None:
        with lock.writer(path, shared) as writer:
            shared.lost = True
            writer.extend()

    with pytest.raises(LockHeldError, match="was lost"):
        write()

    take(path)


def test_without_redis_the_host_lock_is_all_there_is(path: Path) -> None:
    """Extending it is no more than holding it."""
    with lock.writer(path, None) as writer:
        writer.extend()


def link(path: Path) -> None:
    """Put a link to another file in the lock's place."""
    (path.parent / "target").touch()
    path.symlink_to(path.parent / "target")


def folder(path: Path) -> None:
    """Put a folder in the lock's place."""
    path.mkdir()


@pytest.mark.parametrize("put", [link, folder])
def test_something_else_in_the_locks_place_is_refused(
    path: Path, put: Callable[[Path], None]
) -> None:
    """In a folder that everybody may write to, somebody's link is never followed."""
    put(path)

    with pytest.raises(TransientError, match="can't be opened"):
        take(path)


def test_a_missing_folder_is_named(path: Path) -> None:
    """The message holds the path of the lock."""
    with pytest.raises(TransientError, match="can't be made"):
        take(path.parent / "missing" / "writer.lock")


def test_everybody_who_writes_may_open_the_file(path: Path) -> None:
    """Root at the shell and the service's own user share it, whatever the umask."""
    before = os.umask(0o077)
    try:
        take(path)
    finally:
        os.umask(before)

    assert path.stat().st_mode & 0o777 == 0o666
