"""What real SLURM printed, release by release, is understood."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine

from slurm_tasks.errors import CommandError, JobsActiveError, ParseError
from slurm_tasks.model import changes
from slurm_tasks.model.cluster import Account, Key, UserAssociation
from slurm_tasks.model.purge import Purge
from slurm_tasks.model.qos import Qos
from slurm_tasks.model.submission import CLOSED, JobLimit, Submission
from slurm_tasks.model.usage import month
from slurm_tasks.slurm.commands import (
    AccountUsage,
    AddUsers,
    Command,
    MakeHome,
    ModifyAccount,
    RanBy,
    RemoveCoordinators,
    RemoveUsers,
    ResolveUsers,
    SetUsersBlocked,
    ShowAccounting,
    ShowAccounts,
    ShowAssociations,
    ShowConfig,
    ShowDefaults,
    ShowQos,
    ShowTres,
)
from slurm_tasks.slurm.runner import Runner

UTC = ZoneInfo("UTC")
OCTOBER, NOVEMBER = ((p.start, p.end) for p in (month(t, UTC) for t in ("2026-10", "2026-11")))
FOLDER = Path(__file__).parents[2] / "recordings" / "slurm"
AGAIN = AddUsers("lab", changes.AddUsers(("alice",), "a1"))
REMOVAL = RemoveUsers("lab", changes.RemoveUsers(("alice",), "a1"))


def parts(path: Path) -> tuple[int, str, str]:
    """Split a recording into exit code, stdout and stderr."""
    _, code, rest = path.read_text(encoding="utf-8", errors="replace").split("\n", 2)
    stdout, _, stderr = rest.removeprefix("--- stdout\n").rpartition("--- stderr\n")
    return int(code.removeprefix("exit ")), stdout, stderr


def recorded(*names: str, failed: bool = False) -> pytest.MarkDecorator:
    """Run a test with each release's recording of these names, or only with failed ones."""
    files = sorted(path for name in names for path in FOLDER.glob(f"*/{name}.txt"))
    files = [path for path in files if not failed or parts(path)[0]]
    shown = [str(path.relative_to(FOLDER).with_suffix("")) for path in files]
    return pytest.mark.parametrize("path", files, ids=shown)


def lines(path: Path) -> Sequence[str]:
    """Return the lines that a successful command printed."""
    code, stdout, _ = parts(path)
    assert code == 0
    return stdout.splitlines(keepends=True)


def replaying(path: Path, folder: Path) -> Runner:
    """Make a runner whose programs print what was recorded."""
    code, stdout, stderr = parts(path)
    (folder / "stdout").write_text(stdout, encoding="utf-8")
    (folder / "stderr").write_text(stderr, encoding="utf-8")
    for tool in ("sacctmgr", "sacct", "scontrol", "getent", "mkhomedir_helper"):
        script = f"#!/bin/sh\ncat {folder}/stdout; cat {folder}/stderr >&2; exit {code}\n"
        (folder / tool).write_text(script, encoding="utf-8")
        (folder / tool).chmod(0o755)
    return Runner(PurePosixPath(folder), 30, (), {"PATH": "/usr/bin:/bin"})


@recorded("dump-without-where")
def test_the_listing_of_all_accounts_is_understood(path: Path) -> None:
    """Parents, limits, users, QoS, a block, and an account that has lost its association."""
    state = ShowAccounts("lab").parse(lines(path))

    limits = {"cpu": 100, "gres/gpu": 5, "mem": 2048}
    assert state.accounts["a1"] == Account(
        *("a1", "p1", "allocation, one", limits),
        frozenset({"alice", "carol"}),
    )
    assert state.qos_of("a1") == {"normal"}
    assert state.accounts["a2"].blocked
    assert state.accounts["p1"].parent == "waldur"
    assert state.bare == {"orphan": "has no association"}
    assert state.shared == frozenset()


@recorded("qos-switch-dump")
def test_a_switched_account_is_understood(path: Path) -> None:
    """It and the one below run in one QoS, the others in what they inherit."""
    state = ShowAccounts("lab").parse(lines(path))

    assert state.accounts["a1"].default_qos == "limited"
    assert state.qos_of("a1") == state.qos_of("c1") == {"limited"}
    assert state.qos_of("d1") == {"normal"}


@recorded("qos-several-dump")
def test_a_list_of_qos_is_understood(path: Path) -> None:
    """Each of them is one that jobs may run in."""
    accounts = ShowAccounts("lab").parse(lines(path)).accounts

    assert accounts["a1"].qos == {"limited", "normal", "vip"}


@recorded("qos-list")
def test_the_listing_of_qos_is_understood(path: Path) -> None:
    """Those that were added are among them, and one that refuses all jobs."""
    found = ShowQos("lab").parse(lines(path))

    assert found == {name: Qos() for name in ("normal", "limited", "vip")} | {
        "stopped": Qos(user=0)
    }
    assert [name for name, qos in found.items() if qos.refuses_jobs] == ["stopped"]


@recorded("block-users-dump")
def test_users_who_are_blocked_are_understood(path: Path) -> None:
    """In that account, which isn't blocked itself; nobody else is."""
    accounts = ShowAccounts("lab").parse(lines(path)).accounts

    blocked = UserAssociation(Submission(JobLimit(0)))
    assert accounts["a1"].associations == {("alice", ""): blocked, ("bob", ""): blocked}
    assert not accounts["a1"].blocked
    assert accounts["d1"].associations == {}


@recorded("coordinator-dump")
def test_coordinators_are_understood(path: Path) -> None:
    """By a right to the account itself, or to one above it."""
    accounts = ShowAccounts("lab").parse(lines(path)).accounts

    assert accounts["a1"].coordinators == {"alice", "bob"}
    assert accounts["p1"].coordinators == {"bob"}


@recorded("coordinator-remove-again")
def test_removing_a_coordinator_who_is_none_is_no_failure(path: Path, tmp_path: Path) -> None:
    """What was said tells that nothing was changed."""
    gone = changes.RemoveCoordinators(("alice",), ("a1",))

    assert replaying(path, tmp_path).write(RemoveCoordinators("lab", gone))


@recorded("associations-slurmctld")
def test_what_slurmctld_acts_by_is_what_slurmdbd_has(path: Path) -> None:
    """A user's two associations, of which one is limited; and a user without a Unix number."""
    stored = ShowAccounts("lab").parse(lines(path.with_name("associations-dump.txt")))

    found = ShowAssociations("lab").parse(lines(path))

    assert found.associations == stored.associations()
    assert found.associations[Key("a1", "alice", "main")].blocked
    assert found.without_uid == {Key("a1", "nobody_here")}


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("sacctmgr-show-configuration", None),
        ("purge-months", Purge(12, "months")),
        ("purge-days", Purge(30, "days")),
        ("purge-hours", Purge(24, "hours")),
        ("purge-archived", Purge(1, "months")),
    ],
)
@pytest.mark.parametrize("release", ["22.05", "24.11", "26.05"])
def test_when_records_are_purged_is_understood(release: str, name: str, rule: Purge | None) -> None:
    """In every unit, whether they are archived or not."""
    assert ShowAccounting("lab").parse(lines(FOLDER / release / f"{name}.txt")).purge == rule


@recorded("getent*")
def test_unix_users_are_understood(path: Path, tmp_path: Path) -> None:
    """Those who are known, though somebody else isn't."""
    command = ResolveUsers("lab", ("alice", "bob", "nobody_here"), str(tmp_path / "getent"))

    found = replaying(path, tmp_path).read(command)

    homes = {"alice": "/home/alice", "bob": "/home/bob"}
    assert found.homes == ({} if path.stem == "getent-none" else homes)
    assert not found.unclear


@recorded("mkhomedir-unknown-user", "mkhomedir-bad-umask")
def test_a_home_that_can_not_be_made_is_explained(path: Path, tmp_path: Path) -> None:
    """The helper itself says nothing but its exit code."""
    command = MakeHome("lab", "alice", str(tmp_path / "mkhomedir_helper"), "0077")

    with pytest.raises(CommandError, match=r"no such user|HOMEDIR_UMASK"):
        replaying(path, tmp_path).write(command)


@recorded("qos-*", failed=True)
def test_a_qos_that_is_refused_is_a_failure(path: Path, tmp_path: Path) -> None:
    """Where the exit code tells; in 22.05, only the state read back does."""
    with pytest.raises(CommandError):
        replaying(path, tmp_path).write(ModifyAccount("lab", "a1", ("qos=x",)))


@recorded("block-users-all-lack")
def test_blocking_nobody_is_no_failure(path: Path, tmp_path: Path) -> None:
    """What was said tells that nothing was changed, in every release's words."""
    blocked = changes.SetUsersBlocked(("dave",), "a1", CLOSED)

    assert replaying(path, tmp_path).write(SetUsersBlocked("lab", blocked))


@recorded("users", "users-without-where")
def test_the_listing_of_defaults_is_understood(path: Path) -> None:
    """Every user has one."""
    defaults = ShowDefaults("lab").parse(lines(path))

    assert defaults["root"] == "root"
    assert {"alice", "bob"} <= set(defaults)


@recorded("config")
def test_the_clusters_name_is_found(path: Path) -> None:
    """The configuration names it."""
    assert ShowConfig().parse(lines(path))["ClusterName"] == "lab"


@recorded("tres")
def test_the_listing_of_tres_is_understood(path: Path) -> None:
    """Those that limits name are among them."""
    assert {"cpu", "mem", "gres/gpu"} <= ShowTres("lab").parse(lines(path))


@recorded("sacct-november")
def test_the_listing_of_jobs_is_understood(path: Path) -> None:
    """A requeued job's runs, one from the month before, and a suspended one that is split."""
    listing = AccountUsage("lab", *NOVEMBER, {"a1": "a1", "d1": "d1"}).parse(lines(path))

    sums = listing.tally.sums["a1"]
    assert {user: held["gres/gpu"] for user, held in sums.items()} == {
        "bob": 2 * 3600,
        "carol": 2 * (1800 + 600),
    }
    assert [(run.job, run.suspended) for run in listing.split] == [("1000004", 40)]


@recorded("sacct-october")
def test_jobs_that_never_started_or_were_suspended_are_understood(path: Path) -> None:
    """The one holds nothing, the other all but its CPUs."""
    sums = AccountUsage("lab", *OCTOBER, {"d1": "d1"}).parse(lines(path)).tally.sums["d1"]

    held = sums["carol"]
    assert (set(sums), held["cpu"], held["gres/gpu"]) == ({"carol"}, 4 * 60, 2 * 100)


@recorded("sacct-empty", "sacct-future")
def test_a_listing_without_jobs_is_understood(path: Path) -> None:
    """No job is no usage."""
    listing = AccountUsage("lab", *OCTOBER, {"a1": "a1"}).parse(lines(path))

    assert (listing.tally.sums, listing.split, listing.rows) == ({"a1": {}}, [], 0)


@recorded("sacct-stepped-back")
def test_a_clock_that_stepped_back_bills_no_longer_than_the_job_was_there(path: Path) -> None:
    """31 s of the one that has ended; the one that runs is taken as running since its start."""
    start = OCTOBER[1] - 3600 - 900
    with time_machine.travel(start + 100, tick=False):
        tally = AccountUsage("lab", *OCTOBER, {"a1": "a1"}).parse(lines(path)).tally

    assert tally.sums["a1"]["alice"] == {"cpu": 131, "mem": 1310, "node": 131}
    assert [text.split(":")[0] for text in tally.doubtful["a1"]] == [
        "job 600 of alice",
        "job 601 of alice",
    ]


@recorded("sacct-shrunk")
def test_a_shrunk_job_counts_what_it_held(path: Path) -> None:
    """Eight CPUs on two nodes, then seven on one; the first is suspended for 2 s in each."""
    rows = [line.rstrip("\n").split("|") for line in lines(path)[1:]]
    changed, ended = int(rows[0][4]), int(rows[2][4])
    started = int(rows[0][3])
    before, after = changed - started, ended - changed

    window = (started - started % 86400, started + 10**6)
    tally = AccountUsage("lab", *window, {"a1": "a1"}).parse(lines(path)).tally

    assert len(rows) == 4
    assert tally.sums["a1"]["bob"]["node"] == 2 * (2 * before + after)
    assert tally.sums["a1"]["bob"]["cpu"] == 2 * (8 * before + 7 * after) - 2 * (8 + 7)
    assert tally.doubtful == {}


@recorded("sacct-ran-by")
def test_what_had_run_by_a_moment_is_understood(path: Path) -> None:
    """Clipped at the moment, without what was suspended; later runs aren't there."""
    start = OCTOBER[1] - 3600

    ran = RanBy("lab", OCTOBER[1], ("1000001", "1000004")).parse(lines(path))

    assert ran == {("1000001", start, start): 3600, ("1000004", start, start): 3560}


@recorded("remove-users-running-job", "remove-account-running-jobs")
def test_active_jobs_are_recognised(path: Path, tmp_path: Path) -> None:
    """In every release's words."""
    with pytest.raises(JobsActiveError):
        replaying(path, tmp_path).write(REMOVAL)


@recorded("add-users-*-again")
def test_users_who_are_there_already_are_no_failure(path: Path, tmp_path: Path) -> None:
    """In every release's words."""
    code, _, _ = parts(path)

    said = replaying(path, tmp_path).write(AGAIN)

    assert bool(said) is (code == 1)


@recorded("*-down-*", "*-hung-*", failed=True)
def test_a_daemon_that_is_away_is_never_an_empty_answer(path: Path, tmp_path: Path) -> None:
    """What a failed command printed is an error to every read, and to a write."""
    runner = replaying(path, tmp_path)
    reads: list[Command[Any]] = [ShowAccounts("lab"), ShowDefaults("lab"), ShowTres("lab")]

    for command in reads:
        with pytest.raises(CommandError):
            runner.read(command)
    with pytest.raises(CommandError):
        runner.write(REMOVAL)


@recorded("slurmdbd-down-configuration", "mariadb-down-configuration", "munge-down-configuration")
def test_a_configuration_without_slurmdbds_part_is_no_rule(path: Path, tmp_path: Path) -> None:
    """It ends with exit code 0, and must not be taken for records that are kept for ever."""
    assert parts(path)[0] == 0

    with pytest.raises(ParseError):
        replaying(path, tmp_path).read(ShowAccounting("lab"))
