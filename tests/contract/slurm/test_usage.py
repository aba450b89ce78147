"""What sacct says of jobs in a window of time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from slurm_tasks.model import tres
from slurm_tasks.slurm.commands import AccountUsage
from slurm_tasks.slurm.commands.usage import Listing
from tests.contract.slurm.lab import USAGE, Lab
from tests.support.clusters import InjectedJob

OCTOBER = ("2026-10-01T00:00:00", "2026-11-01T00:00:00")
SEPTEMBER = ("2026-09-01T00:00:00", "2026-10-01T00:00:00")
HELD = "billing=4,cpu=4,gres/gpu=1,mem=4096M,node=1"


def _at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def _ready(cluster: Lab, *jobs: InjectedJob) -> None:
    cluster.add_account("p1")
    cluster.add_account("p2")
    cluster.add_users("alice,bob", "p1,p2,waldur", "waldur")
    cluster.inject(jobs)


def _job(start: str, end: str, state: str = "COMPLETED", number: int | None = None) -> InjectedJob:
    return InjectedJob("p1", "alice", _at(start), _at(end), HELD, state, number)


def test_a_completed_job_is_its_seconds_and_what_it_held(cluster: Lab) -> None:
    """Memory in MB with its unit, TRES in alphabetical order."""
    _ready(cluster, _job("2026-10-05T10:00:00", "2026-10-05T10:01:40"))

    assert cluster.usage(*OCTOBER) == [["p1", "alice", "100", HELD]]


def test_a_job_across_the_months_end_is_listed_whole_in_both(cluster: Lab) -> None:
    """The service clips it; that is why it asks for the start."""
    _ready(cluster, _job("2026-09-30T23:59:50", "2026-10-01T00:00:30"))

    for start, end in (SEPTEMBER, OCTOBER):
        window = (f"--starttime={start}", f"--endtime={end}")
        done = cluster.run("sacct", *USAGE, *window, "--format=start,elapsedraw,suspended")
        assert done.out.splitlines()[1:] == ["2026-09-30T23:59:50|40|00:00:00"]


def test_a_job_of_another_month_is_not_listed(cluster: Lab) -> None:
    """Neither of the month before, nor of the one after."""
    _ready(
        cluster,
        _job("2026-09-10T00:00:00", "2026-09-10T01:00:00"),
        _job("2026-11-10T00:00:00", "2026-11-10T01:00:00"),
    )

    assert cluster.usage(*OCTOBER) == []


def test_a_job_of_the_months_last_second_is_listed(cluster: Lab) -> None:
    """A window to the first second of the next month loses none."""
    _ready(cluster, _job("2026-10-31T23:59:59", "2026-11-01T00:00:01"))

    assert cluster.usage(*OCTOBER) == [["p1", "alice", "2", HELD]]


def test_clipped_seconds_are_those_by_the_moment(cluster: Lab) -> None:
    """From the start on, which is not clipped; a job that began later isn't there."""
    _ready(
        cluster,
        _job("2026-09-30T23:59:50", "2026-10-01T00:00:30", number=7),
        _job("2026-10-05T00:00:00", "2026-10-06T00:00:00", number=8),
    )

    assert cluster.ran_by(OCTOBER[0], 7) == [["2026-09-30T23:59:50", "10"]]
    assert cluster.ran_by(OCTOBER[1], 7) == [["2026-09-30T23:59:50", "40"]]
    assert cluster.ran_by(OCTOBER[0], 8) == []


def test_a_job_cancelled_while_pending_held_nothing(cluster: Lab) -> None:
    """No seconds, and an empty AllocTRES."""
    submitted = _at("2026-10-05T10:00:00")
    never = InjectedJob("p1", "bob", 0, submitted + 60, HELD, "CANCELLED", submit=submitted)
    _ready(cluster, never)

    assert cluster.usage(*OCTOBER) == [["p1", "bob", "0", ""]]


def test_every_run_of_a_requeued_job_is_listed(cluster: Lab) -> None:
    """With --duplicates, which the service passes."""
    _ready(
        cluster,
        _job("2026-10-05T10:00:00", "2026-10-05T10:01:00", "REQUEUED", 4711),
        _job("2026-10-05T10:02:00", "2026-10-05T10:02:30", number=4711),
    )

    assert [row[2] for row in cluster.usage(*OCTOBER)] == ["60", "30"]


def test_suspended_seconds_are_told_apart(cluster: Lab) -> None:
    """They are inside the job's span, and not in ElapsedRaw."""
    start = _at("2026-10-05T10:00:00")
    spell = ((start + 80, start + 100),)
    job = InjectedJob("p1", "alice", start, start + 100, HELD, suspensions=spell, job_id=7)
    _ready(cluster, job)

    window = (f"--starttime={OCTOBER[0]}", f"--endtime={OCTOBER[1]}")
    done = cluster.run("sacct", *USAGE, *window, "--format=elapsedraw,suspended")

    assert done.out.splitlines()[1:] == ["80|00:00:20"]
    assert cluster.ran_by("2026-10-05T10:01:30", 7) == [["2026-10-05T10:00:00", "80"]]


def test_suspended_days_stand_before_the_hours(cluster: Lab) -> None:
    """`[days-]hours:minutes:seconds`."""
    start = _at("2026-10-05T00:00:00")
    end = _at("2026-10-08T04:05:06")
    spell = ((start + 3600, end),)
    _ready(cluster, InjectedJob("p1", "alice", start, end, HELD, suspensions=spell))

    window = (f"--starttime={OCTOBER[0]}", f"--endtime={OCTOBER[1]}")
    done = cluster.run("sacct", *USAGE, *window, "--format=elapsedraw,suspended")

    assert done.out.splitlines()[1:] == ["3600|3-03:05:06"]


def test_failed_and_timed_out_jobs_count_like_completed_ones(cluster: Lab) -> None:
    """The state is no matter."""
    _ready(
        cluster,
        _job("2026-10-05T10:00:00", "2026-10-05T10:00:10", "FAILED"),
        _job("2026-10-06T10:00:00", "2026-10-06T10:00:20", "TIMEOUT"),
        _job("2026-10-07T10:00:00", "2026-10-07T10:00:30", "NODE_FAIL"),
    )

    assert [row[2] for row in cluster.usage(*OCTOBER)] == ["10", "20", "30"]


def test_accounts_are_chosen_by_name_in_any_case_without_their_children(cluster: Lab) -> None:
    """Missing ones are passed over."""
    _ready(cluster, _job("2026-10-05T10:00:00", "2026-10-05T10:00:10"))
    start = _at("2026-10-05T11:00:00")
    cluster.inject([InjectedJob("p2", "bob", start, start + 5)])

    assert [row[0] for row in cluster.usage(*OCTOBER, "--accounts=P1,missing")] == ["p1"]
    assert cluster.usage(*OCTOBER, "--accounts=waldur") == []


def test_the_jobs_of_a_removed_account_are_still_listed(cluster: Lab) -> None:
    """The last usage can be reported after the end."""
    _ready(cluster, _job("2026-10-05T10:00:00", "2026-10-05T10:00:10"))

    assert cluster.remove_account("p1").code == 0
    assert cluster.usage(*OCTOBER, "--accounts=p1") == [["p1", "alice", "10", HELD]]


def test_another_cluster_has_no_jobs(cluster: Lab) -> None:
    """The answer is the header, with exit 0."""
    window = (f"--starttime={OCTOBER[0]}", f"--endtime={OCTOBER[1]}")
    options = [option for option in USAGE if not option.startswith("--clusters")]

    done = cluster.run(
        "sacct", *options, "--clusters=other", *window, "--format=account,elapsedraw"
    )

    assert (done.code, done.out) == (0, "Account|ElapsedRaw\n")


def test_a_running_job_counts_up_to_now(cluster: Lab) -> None:
    """And goes on counting."""
    _ready(cluster)
    cluster.running("alice", "p1", "--cpus-per-task=2", "--gres=gpu:1")
    today = f"{datetime.now(UTC):%Y}"
    window = (f"{today}-01-01T00:00:00", f"{int(today) + 1}-01-01T00:00:00")

    cluster.until(lambda: any(int(row[2]) >= 1 for row in cluster.usage(*window)))
    [[account, user, seconds, held]] = cluster.usage(*window)

    assert (account, user) == ("p1", "alice")
    assert 1 <= int(seconds) < 60
    assert held == "billing=6,cpu=2,gres/gpu=1,mem=2000M,node=1"


def test_a_cancelled_job_counts_what_it_ran(cluster: Lab) -> None:
    """Its state names who cancelled it."""
    _ready(cluster)
    cluster.running("alice", "p1")
    year = datetime.now(UTC).year
    window = (f"--starttime={year}-01-01T00:00:00", f"--endtime={year + 1}-01-01T00:00:00")

    cluster.run("scancel", "--clusters=lab", "--account=p1")

    def states() -> list[str]:
        done = cluster.run("sacct", *USAGE, *window, "--format=state,alloctres")
        return done.out.splitlines()[1:]

    cluster.until(lambda: states() == ["CANCELLED by 0|billing=1,cpu=1,mem=1000M,node=1"])


def _listed(cluster: Lab) -> list[dict[str, str]]:
    year = datetime.now(UTC).year
    window = (f"--starttime={year}-01-01T00:00:00", f"--endtime={year + 1}-01-01T00:00:00")
    done = cluster.run("sacct", *USAGE, *window, "--format=start,end,submit,elapsedraw,alloctres")
    header, *rows = (line.split("|") for line in done.out.splitlines())
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_a_job_that_is_made_smaller_has_two_runs(cluster: Lab) -> None:
    """The second is "submitted" when the first ends; 22.05 lists it from the job's start on."""
    _ready(cluster)
    with cluster.shrunk("alice", "p1"):
        cluster.until(lambda: _are_two_runs(_listed(cluster), old=cluster.old))
        cluster.run("scancel", "--clusters=lab", "--account=p1")
        cluster.until(lambda: _listed(cluster)[-1]["End"] != "Unknown")
    first, second = _listed(cluster)

    listing = measured(cluster)

    tally = listing.tally
    assert (first["End"], first["Start"] != first["End"]) == (second["Submit"], True)
    started, changed, ended = (_at(time) for time in (first["Start"], first["End"], second["End"]))
    held = [tres.parse(run["AllocTRES"])["cpu"] for run in (first, second)]
    expected = held[0] * (changed - started) + held[1] * (ended - changed)
    assert held[0] > held[1]
    assert (tally.sums["p1"]["alice"]["cpu"], tally.doubtful) == (expected, {})


def _are_two_runs(rows: list[dict[str, str]], *, old: bool) -> bool:
    """Whether accounting has both; 22.05 moves the second one's start a few seconds later."""
    if len(rows) != 2 or rows[0]["End"] == "Unknown":
        return False
    return rows[1]["Start"] == rows[0]["Start" if old else "End"]


def measured(cluster: Lab) -> Listing:
    """Ask as the service does, for this year."""
    first, last = (int(datetime(y, 1, 1, tzinfo=UTC).timestamp()) for y in (2026, 2036))
    return cluster.ask(AccountUsage("lab", first, last, {"p1": "p1"}))


@pytest.mark.parametrize("ended", [True, False])
def test_a_clock_that_stepped_back_leaves_a_moment_as_suspended_time(
    cluster: Lab, ended: bool
) -> None:
    """Of a job of 31 s, or one that runs; the service bills no more than it can have held."""
    start = int(datetime.now(UTC).timestamp()) - 600
    end, state = (start + 31, "COMPLETED") if ended else (0, "RUNNING")
    job = InjectedJob("p1", "alice", start, end, "cpu=1,node=1", state, suspended=start + 128)
    _ready(cluster, job)

    [row] = _listed(cluster)
    tally = measured(cluster).tally

    assert (row["ElapsedRaw"], row["End"] == "Unknown") == ("0", not ended)
    length = tally.sums["p1"]["alice"]["node"]
    assert length == 31 if ended else 600 <= length < 720
    assert len(tally.doubtful["p1"]) == 1
