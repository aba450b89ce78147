"""The SLURM simulator as a tool: concurrent, loud, quick, and faulty on demand."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from slurm_tasks.demo.slurm import Fault, Job, SlurmSimulator
from slurm_tasks.demo.stack import wait_until

PATIENCE = 60.0
WRITE = ("--parsable2", "--immediate")
LIST = (
    *(*WRITE, "show", "account", "withassoc", "where", "cluster=lab"),
    "format=account,parentname,user",
)
USAGE = (
    *("--allocations", "--allusers", "--duplicates", "--truncate", "--noconvert", "--parsable2"),
    "--clusters=lab",
)


@pytest.fixture
def sim(tmp_path: Path) -> SlurmSimulator:
    """A fresh cluster."""
    return SlurmSimulator.create(tmp_path / "slurm")


def _add(sim: SlurmSimulator, name: str, parent: str = "waldur") -> int:
    texts = ("description=d", "organization=o")
    new = ("add", "account", f"name={name}", "cluster=lab", f"parent={parent}", *texts)
    return sim.run("sacctmgr", *WRITE, *new).returncode


def test_eight_processes_that_add_accounts_lose_none(sim: SlurmSimulator) -> None:
    """Every command is one transaction."""
    names = [f"a{number}" for number in range(40)]

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda name: _add(sim, name), names))

    assert set(codes) == {0}
    assert set(names) <= sim.accounts().keys()
    assert len(sim.commands()) == len(names)


def test_writes_at_the_same_time_are_told(sim: SlurmSimulator) -> None:
    """A test of the writer's lock asks for them afterwards."""
    sim.set_faults(Fault(delay=0.5))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda name: _add(sim, name), ["a", "b"]))

    [(first, second)] = sim.overlapping_writes()
    assert {first.argv[4], second.argv[4]} == {"name=a", "name=b"}


def test_writes_one_after_the_other_do_not_overlap(sim: SlurmSimulator) -> None:
    """Reads never do."""
    _add(sim, "a")
    sim.run("sacctmgr", *LIST)
    _add(sim, "b")

    assert sim.overlapping_writes() == []


@pytest.mark.parametrize(
    ("tool", "argv"),
    [
        ("sacctmgr", ("--parsable2", "--immediate", "list", "account")),
        ("sacctmgr", ("--parsable2", "--immediate", "--json", *LIST[2:])),
        ("sacctmgr", (*LIST[:-1], "format=account,fairshare")),
        ("sacctmgr", ("--immediate", *LIST[2:])),
        ("sacctmgr", ("--parsable2", "add", "account", "name=a", "cluster=lab")),
        ("sacctmgr", (*WRITE, "add", "account", "name=a", "fairshare=3")),
        ("sacctmgr", (*WRITE, "add", "account", "name=with space", "cluster=lab")),
        ("sacctmgr", (*WRITE, "remove", "qos", "where", "name=normal")),
        ("sacctmgr", (*WRITE, "modify", "account", "where", "name=waldur", "set", "qos=+normal")),
        ("sacct", (*USAGE, "--starttime=2026-01-01", "--endtime=2026-02-01", "--format=jobname")),
        ("sacct", ("--allocations", "--format=account")),
        ("sacct", (*USAGE, "--state=CD", "--format=account")),
        ("squeue", ("--noheader", "--account=waldur")),
        ("scancel", ("--clusters=lab",)),
        ("scancel", ("123",)),
        ("scontrol", ("shutdown",)),
        ("sbatch", ("--account=waldur", "job.sh")),
    ],
)
def test_what_the_service_does_not_use_is_exit_2(
    sim: SlurmSimulator, tool: str, argv: tuple[str, ...]
) -> None:
    """With the arguments on stderr, and nothing done."""
    before = sim.accounts()

    done = sim.run(tool, *argv)

    assert done.returncode == 2
    assert "unsupported" in done.stderr
    assert argv[0] in done.stderr
    assert sim.accounts() == before


@pytest.mark.parametrize("argv", [LIST, (*WRITE, "add", "account", "name=a", "cluster=lab")])
def test_a_command_costs_little_more_than_starting_python(
    sim: SlurmSimulator, argv: tuple[str, ...]
) -> None:
    """Some 45 ms where a bare interpreter takes 13; as a ratio, as others use this machine."""
    bare = [sys.executable, "-IS", "-c", "pass"]

    started = min(_processor_seconds(lambda: _run(bare)) for _ in range(10))
    called = min(_processor_seconds(lambda: sim.run("sacctmgr", *argv)) for _ in range(10))

    assert called < 6 * started


def _run(argv: list[str]) -> None:
    subprocess.run(argv, check=True)


def _processor_seconds(call: Callable[[], object]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    call()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_a_failing_command_does_nothing(sim: SlurmSimulator) -> None:
    """Exit code and stderr are those of the fault, so many times."""
    sim.set_faults(Fault.database_away("add account", times=1))

    assert _add(sim, "a") == 1
    assert "a" not in sim.accounts()
    assert _add(sim, "a") == 0


def test_a_connection_can_be_lost_after_the_effect(sim: SlurmSimulator) -> None:
    """The command says that it failed, and has done its work."""
    sim.set_faults(Fault.database_away("name=a", effect=True))

    assert _add(sim, "a") == 1
    assert "a" in sim.accounts()


def test_a_fault_concerns_its_tool_and_arguments_only(sim: SlurmSimulator) -> None:
    """Others work as ever."""
    sim.set_faults(Fault(argv="name=a ", exit_code=3), Fault(tool="sacct", exit_code=4))

    assert _add(sim, "a") == 3
    assert _add(sim, "b") == 0
    assert sim.run("scontrol", "ping").returncode == 0
    assert sim.run("sacct", "--version").returncode == 4


def test_output_can_be_cut_or_replaced(sim: SlurmSimulator) -> None:
    """With exit 0, as if all were well."""
    sim.set_faults(Fault(truncate=12, times=1), Fault(stdout="garbage\n"))

    cut, garbage = sim.run("sacctmgr", *LIST), sim.run("sacctmgr", *LIST)

    assert (cut.returncode, cut.stdout) == (0, "Account|Pare")
    assert (garbage.returncode, garbage.stdout) == (0, "garbage\n")


def test_a_warning_leaves_the_rest_alone(sim: SlurmSimulator) -> None:
    """Something on stderr, exit 0."""
    sim.set_faults(Fault(stderr="sacctmgr: warning: clock skew\n"))

    done = sim.run("sacctmgr", *LIST)

    assert (done.returncode, done.stderr) == (0, "sacctmgr: warning: clock skew\n")
    assert "waldur|root|" in done.stdout


def test_a_command_can_die_by_a_signal(sim: SlurmSimulator) -> None:
    """Recorded, without an exit code."""
    sim.set_faults(Fault(signal=signal.SIGKILL))

    assert _add(sim, "a") == -signal.SIGKILL
    assert "a" not in sim.accounts()
    assert sim.commands()[-1].exit_code is None


def _assert_hangs(sim: SlurmSimulator, tool: str, *argv: str) -> None:
    """Run a command that has begun and doesn't end; a short while tells, it would take far less."""
    before = len(sim.commands())
    with subprocess.Popen([sim.bin_dir / tool, *argv]) as process:
        wait_until(lambda: len(sim.commands()) > before, "it has begun", PATIENCE)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        process.kill()


def test_a_command_can_hang(sim: SlurmSimulator) -> None:
    """Until whoever waits has had enough."""
    sim.set_faults(Fault(hang=True))

    _assert_hangs(sim, "sacctmgr", *LIST)

    sim.set_faults()
    assert sim.run("sacctmgr", *LIST).returncode == 0


def test_from_24_11_on_a_lost_parent_hangs_the_listing(tmp_path: Path) -> None:
    """Removing a parent leaves its children's users where slurmdbd loops; adding it again helps."""
    sim = SlurmSimulator.create(tmp_path / "slurm", release="24.11")
    _add(sim, "p1")
    _add(sim, "a1", "p1")
    sim.run("sacctmgr", *WRITE, "add", "user", "name=alice", "cluster=lab", "account=a1")
    sim.run("sacctmgr", *WRITE, "remove", "account", "where", "name=p1", "cluster=lab")

    _assert_hangs(sim, "sacctmgr", *LIST)

    _add(sim, "p1")
    assert "a1||alice" in sim.run("sacctmgr", *LIST).stdout


def test_commands_are_recorded_with_user_and_exit_code(sim: SlurmSimulator) -> None:
    """In order, until they are cleared."""
    _add(sim, "a")
    sim.run("sbatch", "--account=a", user="alice")

    first, second = sim.commands()
    sim.clear_commands()

    assert (first.tool, first.exit_code, first.user) == ("sacctmgr", 0, "root")
    assert (second.tool, second.argv, second.user) == ("sbatch", ("--account=a",), "alice")
    assert second.exit_code == 1
    assert sim.commands() == []


def test_a_running_job_ends_by_the_clock(sim: SlurmSimulator) -> None:
    """After as many seconds as it was said to take."""
    now = time.time()
    over = sim.add_job("waldur", "alice", now - 100, 60, state="RUNNING")
    runs = sim.add_job("waldur", "alice", now - 100, None)

    assert sim.active_jobs() == [runs]
    assert runs == over + 1


def test_kill_wait_keeps_a_cancelled_job_running(tmp_path: Path) -> None:
    """The account can't be removed before."""
    sim = SlurmSimulator.create(tmp_path / "slurm", kill_wait=1)
    job = sim.add_job("waldur", "alice", time.time() - 10, None)

    sim.run("scancel", "--clusters=lab", "--account=waldur")

    assert sim.active_jobs("waldur") == [job]
    while sim.active_jobs("waldur"):
        pass
    assert sim.active_jobs() == []


def test_many_jobs_are_listed_quickly(sim: SlurmSimulator) -> None:
    """Fifty thousand, in the order of their numbers."""
    start = datetime(2026, 10, 1, tzinfo=UTC).timestamp()
    sim.add_jobs(Job("waldur", "alice", start + number, 60) for number in range(50_000))
    window = ("--starttime=2026-10-01T00:00:00", "--endtime=2026-11-01T00:00:00")

    columns = "--format=account,user,elapsedraw,alloctres,jobid"

    assert _processor_seconds(lambda: sim.run("sacct", *USAGE, *window, columns)) < 3
    lines = sim.run("sacct", *USAGE, *window, columns).stdout.splitlines()
    assert [line.rpartition("|")[2] for line in lines[1::49_999]] == ["1", "50000"]


def test_a_cluster_is_opened_again_and_reset(sim: SlurmSimulator) -> None:
    """State outlives the handle, and ends with a reset."""
    _add(sim, "a")
    again = SlurmSimulator(sim.folder)
    assert "a" in again.accounts()

    again.set_faults(Fault(exit_code=1))
    again.purge_jobs("1 months", datetime.now(UTC))
    again.add_qos("limited")
    again.reset()

    assert sim.accounts().keys() == {"root", "waldur"}
    assert sim.commands() == []
    assert _add(sim, "a") == 0
    assert "= NONE" in sim.run("sacctmgr", "show", "configuration").stdout
    assert sim.run("sacctmgr", *WRITE, "show", "qos", "format=name").stdout == "Name\nnormal\n"


def test_opening_what_was_never_made_is_an_error(tmp_path: Path) -> None:
    """The message says what to do."""
    with pytest.raises(FileNotFoundError, match="create one first"):
        SlurmSimulator(tmp_path)
