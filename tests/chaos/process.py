"""A process of its own that is killed at one of its calls to the outside.

A child is forked off the test; both simulators live on outside of it: SLURM's is a file, Waldur's
a thread of the test. SIGKILL leaves no code the time to tidy up.
"""

from __future__ import annotations

import os
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from subprocess import Popen
from typing import IO, cast

import httpx

from slurm_tasks.slurm.cluster import SlurmCluster
from slurm_tasks.waldur.client import Client
from slurm_tasks.waldur.transport import Query, Transport
from tests.support.world import SwiftRunner, World, settings_for

Act = Callable[[World], object]


@dataclass
class Calls:
    """The calls of a process to the outside, SLURM's commands and Waldur's requests alike.

    Attributes:
        told: where each is told before it begins.
        last: the number of the call that the process dies at; 0 for never.
        after: whether it dies right after the call's effect, before it learns of it.
    """

    told: IO[str]
    last: int
    after: bool
    number: int = 0

    @contextmanager
    def call(self, what: str) -> Iterator[None]:
        """Make one call."""
        self.number += 1
        self.told.write(f"{what}\n")
        self.told.flush()
        if self.number == self.last and not self.after:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            yield
        finally:
            if self.number == self.last:
                os.kill(os.getpid(), signal.SIGKILL)


class MortalTransport(Transport):
    """A transport whose process dies at one of its requests."""

    calls: Calls

    def _send(
        self, method: str, path: str, query: Query, body: object = None, *, probing: bool = False
    ) -> httpx.Response:
        with self.calls.call(f"{method} {path}"):
            return super()._send(method, path, query, body, probing=probing)


@dataclass(frozen=True)
class MortalRunner(SwiftRunner):
    """A runner whose process dies at one of its commands."""

    calls: Calls | None = None

    def _start(self, argv: list[str], errors: IO[str], inherit: Sequence[int]) -> Popen[str]:
        assert self.calls
        with self.calls.call(" ".join(argv)):
            return super()._start(argv, errors, inherit)


def run(
    world: World, act: Act, last: int = 0, *, after: bool = False, certain: bool = True
) -> list[str]:
    """Do something in a process that dies at its call number `last`, or comes to its end.

    Args:
        world: where.
        act: what it does.
        last: the number of the call; 0 for none.
        after: whether it dies after the call's effect.
        certain: whether it makes so many calls.

    Returns:
        The calls that it began.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of the simulator's thread; the child takes none of its locks
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        os.close(reading)
        _live(world, act, Calls(os.fdopen(writing, "w"), last, after))
    os.close(writing)
    with os.fdopen(reading) as told:
        calls = told.read().splitlines()
    _, status = os.waitpid(child, 0)
    died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    ended = status == 0 and not (last and certain)
    assert (died and last) or ended, f"the process ended with {status} after {calls}"
    return calls


def _live(world: World, act: Act, calls: Calls) -> None:
    """Be the process: never come back to the test's code."""
    code = 1
    try:
        settings = settings_for(world.waldur)
        transport = MortalTransport(settings)
        transport.calls = calls
        runner = cast("SwiftRunner", world.node.cluster.runner)
        mortal = MortalRunner(
            runner.bin_dir, runner.timeout, environment=runner.environment, calls=calls
        )
        own = replace(
            world,
            control=replace(world.control, waldur=Client(settings, transport)),
            node=replace(world.node, cluster=SlurmCluster(mortal, world.slurm.cluster)),
        )
        act(own)
        code = 0
    finally:
        if code:
            traceback.print_exc()
        os._exit(code)
