"""What goes into the simulator and comes out of it, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

LOST_CONNECTION = (
    "sacctmgr: error: slurm_persist_conn_open_without_init: failed to open persistent connection"
    " to host:localhost:6819: Connection refused\n"
    "sacctmgr: error: Sending PersistInit msg: Connection refused\n"
)
"""What sacctmgr says when slurmdbd is away."""
DEFAULT_TRES: Mapping[str, int] = MappingProxyType({"billing": 1, "cpu": 1, "mem": 1000, "node": 1})


@dataclass(frozen=True)
class Fault:
    """What goes wrong with commands.

    A command with an `exit_code`, a `signal`, an invented `stdout` or a `hang` does nothing else,
    unless it has its `effect` first. With only a `delay`, `stderr`, `lines` or `truncate` it works.

    Attributes:
        tool: the program.
        argv: a regular expression, searched in its arguments joined by spaces.
        times: how many commands; None for all.
        delay: seconds that it waits before anything else.
        hang: it never ends.
        signal: it dies by this signal.
        exit_code: it ends with this code and without output.
        stdout: it prints this instead.
        truncate: it prints only so many characters.
        lines: it prints only so many lines: a sacct with 1, slurmdbd can't read its job records.
        stderr: it prints this there as well.
        effect: it does its work before it fails.
    """

    tool: str = "sacctmgr"
    argv: str = ""
    times: int | None = None
    delay: float = 0.0
    hang: bool = False
    signal: int | None = None
    exit_code: int | None = None
    stdout: str | None = None
    truncate: int | None = None
    lines: int | None = None
    stderr: str = ""
    effect: bool = False

    @classmethod
    def database_away(
        cls, argv: str = "", *, effect: bool = False, times: int | None = 1
    ) -> "Fault":
        """Return: slurmdbd is away, or with `effect` goes away before it could answer."""
        return cls(argv=argv, exit_code=1, stderr=LOST_CONNECTION, effect=effect, times=times)


@dataclass(frozen=True)
class Job:
    """One run of a job.

    Attributes:
        account: its account, whether that exists or not.
        user: its user.
        start: when it starts; epoch seconds, or an aware datetime; None for one that never does.
        elapsed: seconds until it ends; None while that is not known.
        tres: what it asks for, and from its start on holds (memory in MB).
        state: as sacct prints it. A RUNNING job with `elapsed` ends as COMPLETED then.
        suspended: seconds for which it is suspended, before its end; sacct does not count them.
            More than it has: what a clock that steps back leaves behind.
        submit: when it is submitted; None for its start.
        id: its number; None for the next. A requeued job has several runs with the same number.
    """

    account: str
    user: str
    start: datetime | float | None
    elapsed: float | None
    tres: Mapping[str, int] = field(default_factory=lambda: DEFAULT_TRES)
    state: str = "COMPLETED"
    suspended: int = 0
    submit: datetime | float | None = None
    id: int | None = None


@dataclass(frozen=True)
class Account:
    """An account that has an association.

    Attributes:
        parent: the account above; empty for root.
        description: as stored, in lower case.
        organization: the same.
        limits: GrpTRESMins by TRES (memory in MB-minutes).
        submit_jobs: GrpSubmitJobs; None for no limit.
        users: those with an association.
        qos: the QoS that its jobs may run in, its own or inherited.
        held: users who may submit no jobs to it (GrpSubmitJobs=0).
    """

    parent: str
    description: str
    organization: str
    limits: Mapping[str, int]
    submit_jobs: int | None
    users: frozenset[str]
    qos: frozenset[str]
    held: frozenset[str]


@dataclass(frozen=True)
class Invocation:
    """A command that was run.

    Attributes:
        tool: the program.
        argv: its arguments.
        exit_code: None if it was killed, or runs still.
        started: epoch seconds.
        duration: seconds.
        user: who ran it.
    """

    tool: str
    argv: tuple[str, ...]
    exit_code: int | None
    started: float
    duration: float
    user: str

    @property
    def writes(self) -> bool:
        """Tell whether it changes associations."""
        words = {"add", "modify", "remove"}
        return self.tool == "sacctmgr" and not words.isdisjoint(self.argv)
