"""What is asked of sacct, and how jobs become usage."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from structlog.testing import capture_logs

from slurm_tasks.errors import ParseError
from slurm_tasks.model.usage import ListedRun, month
from slurm_tasks.slurm.cluster import SlurmCluster
from slurm_tasks.slurm.commands import AccountUsage, Command, RanBy
from slurm_tasks.slurm.commands.usage import Listing

PERIOD = month("2026-04", ZoneInfo("UTC"))
APRIL, MAY = PERIOD.start, PERIOD.end
HEADER = "JobIDRaw|Account|User|Start|End|Submit|ElapsedRaw|Suspended|AllocTRES\n"


def row(text: str) -> str:
    """Make a row of job, account, user, start, elapsed, suspended, AllocTRES: times agree."""
    job, account, user, start, elapsed, suspended, held = text.split("|", 6)
    never = start == "Unknown"
    clock = [int(part) for part in suspended.replace("-", ":").split(":")]
    spell = sum(n * unit for n, unit in zip(reversed(clock), (1, 60, 3600, 86400), strict=False))
    end = "Unknown" if never else str(int(start) + int(elapsed) + spell)
    submit = str(APRIL) if never else start
    return "|".join((job, account, user, start, end, submit, elapsed, suspended, held))


def listed(*rows: str, billed: frozenset[str] = frozenset()) -> Listing:
    """Parse rows below the header."""
    command = AccountUsage("lab", APRIL, MAY, {"a1": "a1", "a1_group": "a1", "a2": "a2"}, billed)
    return command.parse([HEADER, *rows])


def parsed(*rows: str) -> dict[str, dict[str, int]]:
    """Parse rows of a1, all of which are understood, and none of which is split."""
    listing = listed(*rows)
    assert (listing.split, listing.tally.unread, listing.rows) == ([], {}, len(rows))
    return listing.tally.sums["a1"]


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("zone", ["Asia/Kathmandu"], indirect=True)
def test_usage_is_asked_for_in_utc_and_half_open() -> None:
    """From the first second of the month to the first second of the next, wherever we are."""
    argv = AccountUsage("lab", APRIL, MAY, {"a2": "a1", "a1": "a1"}).argv()

    assert "--starttime=2026-04-01T00:00:00" in argv
    assert "--endtime=2026-05-01T00:00:00" in argv
    assert "--accounts=a1,a2" in argv
    assert "--clusters=lab" in argv
    assert {"--allocations", "--allusers", "--duplicates", "--noconvert"} <= set(argv)
    assert not any(word.startswith(("--state", "--truncate")) for word in argv)
    assert argv[-1] == f"--format={HEADER.strip().lower().replace('|', ',')}"


def test_above_2000_names_usage_is_asked_for_without_them() -> None:
    """A longer list would be E2BIG; the accounts are picked from the output instead."""
    many = {f"a{number}": "a1" for number in range(2001)}
    fewer = {name: "a1" for name in many if name != "a7"}

    assert any(word.startswith("--accounts") for word in AccountUsage("c", 0, 1, fewer).argv())
    assert not any(word.startswith("--accounts") for word in AccountUsage("c", 0, 1, many).argv())


@pytest.mark.parametrize(("start", "end"), [(MAY, APRIL), (APRIL, APRIL), (-1, APRIL)])
def test_a_period_without_length_is_refused(start: int, end: int) -> None:
    """Such a window means something else to sacct."""
    with pytest.raises(ValueError, match="is empty"):
        AccountUsage("lab", start, end, {"a1": "a1"}).argv()


def test_every_run_of_the_accounts_asked_for_counts() -> None:
    """Rows as sacct printed them: running, requeued, pending and another account's."""
    assert parsed(
        row(f"3|a3|carol|{APRIL}|50|00:00:00|billing=5,cpu=1,gres/gpu=1,mem=1000M,node=1\n"),
        row("2|a1|bob|Unknown|0|00:00:00|\n"),
        row(f"1|a1|alice|{APRIL}|5|00:00:00|billing=2,cpu=2,mem=2000M,node=1\n"),
        row(f"1|a1|alice|{APRIL + 9}|5|00:00:00|billing=1,cpu=1,mem=1000M,node=1\n"),
        f"4|a1|bob|{APRIL}|Unknown|{APRIL}|7|00:00:00|cpu=1\n",
    ) == {
        "alice": {"billing": 15, "cpu": 15, "mem": 15000, "node": 10},
        "bob": {"cpu": 7},
    }


def test_jobs_of_accounts_below_an_allocation_are_the_allocations() -> None:
    """A user has one part of it, wherever the jobs ran."""
    assert parsed(
        row(f"1|a1|alice|{APRIL}|5|00:00:00|cpu=1"),
        row(f"2|a1_group|alice|{APRIL}|10|00:00:00|cpu=1"),
        row(f"3|a1_group|bob|{APRIL}|20|00:00:00|cpu=1"),
        row(f"4|a2|bob|{APRIL}|40|00:00:00|cpu=1"),
    ) == {"alice": {"cpu": 15}, "bob": {"cpu": 20}}


def test_runs_are_clipped_to_the_period() -> None:
    """Across its start, across its end, and longer than it."""
    assert parsed(
        row(f"1|a1|alice|{APRIL - 100}|150|00:00:00|cpu=1"),
        row(f"2|a1|bob|{MAY - 30}|3600|00:00:00|cpu=1"),
        row(f"3|a1|carol|{APRIL - 100}|9999999|00:00:00|cpu=1"),
    ) == {"alice": {"cpu": 50}, "bob": {"cpu": 30}, "carol": {"cpu": MAY - APRIL}}


def test_suspended_time_is_read_with_days() -> None:
    """It counts for all but CPUs."""
    rows = row(f"1|a1|alice|{APRIL}|10|1-02:03:04|cpu=2,mem=1M")

    assert parsed(rows) == {"alice": {"cpu": 20, "mem": 10 + 93784}}


@pytest.mark.parametrize(
    "times",
    [
        f"{APRIL}|{APRIL + 5}|{APRIL}|00:00:05|00:00:00|cpu=1",
        f"{APRIL}|{APRIL + 5}|{APRIL}||00:00:00|cpu=1",
        f"{APRIL}|{APRIL + 5}|{APRIL}|²|00:00:00|cpu=1",
        f"{APRIL}|{APRIL + 5}|{APRIL}|5||cpu=1",
        f"{APRIL}|{APRIL + 5}|{APRIL}|5|10|cpu=1",
        f"{APRIL}|{APRIL + 5}|{APRIL}|5|00:00:00|cpu=x",
        f"{APRIL}|soon|{APRIL}|5|00:00:00|cpu=1",
        f"{APRIL}|{APRIL + 5}||5|00:00:01|cpu=1",
        f"Unknown|{APRIL + 5}|{APRIL}|5|00:00:00|cpu=1",
    ],
)
def test_a_row_that_is_not_understood_keeps_its_accounts_usage_back(times: str) -> None:
    """A job that can't be read is never one that used nothing; the other accounts' are read."""
    other = row(f"2|a2|bob|{APRIL}|10|00:00:00|cpu=1")

    tally = listed(f"1|a1|alice|{times}", other, billed=frozenset({"cpu"})).tally

    assert set(tally.unread) == {"a1"}
    assert {name: part.total() for name, part in tally.usage(PERIOD).items()} == {"a2": {"cpu": 10}}


def test_a_row_of_another_accounts_job_is_not_even_read() -> None:
    """Above 2,000 names they are listed, too."""
    assert parsed("1|a3|alice|x|y|z|w|v|license/x=y") == {}


def test_a_row_with_other_columns_is_an_error() -> None:
    """It isn't known whose it is."""
    with pytest.raises(ParseError, match="expected 9 columns"):
        listed(f"1|a1|alice|{APRIL}|5")


def test_times_that_are_not_seconds_name_their_cause() -> None:
    """A wrapper around sacct that drops its environment would print, and read, local time."""
    day = "2026-04-01T00:00:00"
    with pytest.raises(ParseError, match="SLURM_TIME_FORMAT"):
        listed(f"1|a1|alice|{day}|{day}|{day}|5|00:00:00|cpu=1")


def test_a_clock_that_stepped_back_bills_no_more_than_from_start_to_end() -> None:
    """Resumed "before" it was suspended: slurmdbd keeps a moment as the suspended time.

    As sreport has it, it ran all the time.
    """
    text = f"20|a1|alice|{APRIL}|{APRIL + 31}|{APRIL}|0|20544-00:02:08|billing=1,cpu=1,node=1"

    tally = listed(text).tally

    assert tally.usage(PERIOD)["a1"].total() == {"billing": 31, "cpu": 31, "node": 31}
    [doubt] = tally.doubtful["a1"]
    assert doubt == (
        "job 20 of alice: from 2026-04-01T00:00:00 to 2026-04-01T00:00:31 it ran for 0 s and was"
        " suspended for 20544-00:02:08: taken as running all the time"
    )


@time_machine.travel(APRIL + 1000, tick=False)
def test_a_clock_that_stepped_back_bills_a_running_job_up_to_now() -> None:
    """And not until the month's end."""
    tally = listed(f"20|a1|alice|{APRIL}|Unknown|{APRIL}|0|20544-00:02:08|cpu=2,node=1").tally

    assert tally.usage(PERIOD)["a1"].total() == {"cpu": 2000, "node": 1000}
    assert "taken as running" in tally.doubtful["a1"][0]


def test_a_job_that_ended_before_it_began_used_nothing_and_is_told() -> None:
    """Its clock stepped back, too."""
    tally = listed(f"20|a1|alice|{APRIL + 50}|{APRIL}|{APRIL}|0|00:00:00|cpu=2").tally

    assert tally.usage(PERIOD)["a1"].total() == {}
    assert len(tally.doubtful["a1"]) == 1


@pytest.mark.parametrize("start", [APRIL, APRIL + 19])
def test_a_job_that_was_shrunk_counts_what_it_held(start: int) -> None:
    """Two nodes for 19 s, then one for 21 s: 22.05 lists the second run from the job's start on."""
    elapsed = APRIL + 40 - start
    assert parsed(
        f"13|a1|alice|{APRIL}|{APRIL + 19}|{APRIL}|19|00:00:00|cpu=8,node=2",
        f"13|a1|alice|{start}|{APRIL + 40}|{APRIL + 19}|{elapsed}|00:00:00|cpu=4,node=1",
    ) == {"alice": {"cpu": 8 * 19 + 4 * 21, "node": 2 * 19 + 21}}


def test_a_shrunk_job_was_suspended_in_each_of_its_runs() -> None:
    """Each run's suspended seconds are its own (measured on 22.05)."""
    assert parsed(
        f"6|a1|alice|{APRIL}|{APRIL + 14}|{APRIL}|9|00:00:05|cpu=8,node=2",
        f"6|a1|alice|{APRIL}|{APRIL + 27}|{APRIL + 14}|23|00:00:04|cpu=7,node=1",
    ) == {"alice": {"cpu": 8 * 9 + 7 * 9, "node": 2 * 14 + 13}}


def test_memory_does_not_grow_with_the_jobs() -> None:
    """After 200,000 rows no more is held than after 10,000."""
    blocks = []

    def lines() -> Iterator[str]:
        yield HEADER
        for job in range(200_000):
            first = APRIL + job
            times = f"{first}|{first + 60}|{first}|60|00:00:00"
            yield f"{job}|a1|user{job % 50}|{times}|cpu=4,mem=4096M,node=1\n"
            if job % 10_000 == 0:
                blocks.append(sys.getallocatedblocks())

    sums = AccountUsage("lab", APRIL, MAY, {"a1": "a1"}).parse(lines()).tally.sums

    assert sum(by["cpu"] for by in sums["a1"].values()) == 200_000 * 60 * 4
    assert blocks[-1] - blocks[1] < 1000


def test_what_had_run_by_a_moment_is_asked_of_jobs_by_number() -> None:
    """Clipped at the end only: a window from 0 on would mean from today on."""
    argv = RanBy("lab", MAY, ("7", "8")).argv()

    assert {"--jobs=7,8", "--truncate", "--duplicates", "--clusters=lab"} <= set(argv)
    assert "--starttime=1970-01-01T00:00:01" in argv
    assert "--endtime=2026-05-01T00:00:00" in argv
    assert argv[-1] == "--format=jobidraw,start,submit,elapsedraw"


def test_what_had_run_by_a_moment_is_told_by_run() -> None:
    """A requeued job has several, each with its start."""
    rows = ["JobIDRaw|Start|Submit|ElapsedRaw\n", "7|100|90|5\n", "7|200|190|6\n"]

    ran = RanBy("lab", MAY, ("7",)).parse(rows)

    assert ran == {("7", 100, 90): 5, ("7", 200, 190): 6}


@pytest.mark.parametrize("job", ["", "1,2", "-x", "1_2"])
def test_only_job_numbers_reach_sacct(job: str) -> None:
    """Not those of a job's parts, nor lists."""
    with pytest.raises(ParseError, match=f"'{job}' of a job is not a number"):
        RanBy("lab", MAY, (job,)).argv()


def test_no_job_is_not_every_job() -> None:
    """No number at all would list every job that there ever was."""
    with pytest.raises(ValueError, match=r"^without a job's number all jobs would be listed"):
        RanBy("lab", MAY, ()).argv()


@dataclass
class Sacct:
    """Answers with what is set.

    Attributes:
        rows: the month's.
        ran: how long runs had run by a moment.
        asked: the commands.
    """

    rows: list[str]
    ran: dict[int, dict[ListedRun, int]]
    asked: list[Command[Any]] = field(default_factory=list)

    def read(self, command: Command[Any]) -> Any:  # noqa: ANN401 - whatever the command gives
        """Answer one."""
        self.asked.append(command)
        if isinstance(command, RanBy):
            return self.ran[command.moment]
        return command.parse([HEADER, *self.rows])

    def write(self, command: object, inherit: tuple[int, ...] = ()) -> str:
        """Never called."""
        raise AssertionError(command, inherit)


def measured(sacct: Sacct) -> dict[str, int]:
    """Measure what alice used in a1."""
    (alice,) = SlurmCluster(sacct, "lab").usage(PERIOD, ("a1",))["a1"].users
    return alice.tres


def test_a_suspended_run_across_the_start_is_measured_by_its_edges() -> None:
    """It ran for 30 of the 100 s before the month, then for 50, and was suspended for 70."""
    text = row(f"7|a1|alice|{APRIL - 100}|80|00:02:20|cpu=2,mem=1M")
    key = ("7", APRIL - 100, APRIL - 100)
    sacct = Sacct([text], {APRIL: {key: 30}, MAY: {key: 80}})

    assert measured(sacct) == {"cpu": 2 * 50, "mem": 120}
    assert [type(command) for command in sacct.asked] == [AccountUsage, RanBy, RanBy]


def test_a_run_that_is_suspended_still_ran_no_longer_than_it_has() -> None:
    """Sacct's clipped listing counts it as running ever since; it was suspended before May."""
    text = row(f"7|a1|alice|{MAY - 100}|40|01:00:00|cpu=1,mem=1M")
    sacct = Sacct([text], {APRIL: {}, MAY: {("7", MAY - 100, MAY - 100): 100}})

    assert measured(sacct) == {"cpu": 40, "mem": 100}


def test_a_shrunk_run_across_an_edge_is_measured_from_when_it_was_shrunk() -> None:
    """On 22.05, where sacct counts from the job's start: 60 s before that was made smaller."""
    times = f"{MAY - 100}|{MAY + 100}|{MAY - 40}|150|00:00:50"
    sacct = Sacct(
        [f"7|a1|alice|{times}|cpu=1,mem=1M"],
        {APRIL: {}, MAY: {("7", MAY - 100, MAY - 40): 70}},
    )

    assert measured(sacct) == {"cpu": 10, "mem": 40}


def test_without_suspended_runs_across_an_edge_one_command_is_enough() -> None:
    """Also where jobs span it, or were suspended within the month."""
    rows = [
        row(f"7|a1|alice|{APRIL - 100}|200|00:00:00|cpu=1"),
        row(f"8|a1|alice|{APRIL}|10|00:00:10|cpu=1"),
    ]
    sacct = Sacct(rows, {})

    assert measured(sacct) == {"cpu": 110}
    assert len(sacct.asked) == 1


def test_many_suspended_runs_are_asked_for_in_parts() -> None:
    """A list of thousands would not fit on a command line."""
    rows = [row(f"{job}|a1|alice|{APRIL - 10}|20|00:00:05|cpu=1") for job in range(1001)]
    sacct = Sacct(rows, {APRIL: {}, MAY: {}})

    measured(sacct)

    assert [len(c.jobs) for c in sacct.asked if isinstance(c, RanBy)] == [1000, 1, 1000, 1]


def test_what_is_left_out_and_what_is_doubtful_is_in_the_log() -> None:
    """With the month; what is not understood and billed, too, as an error of its account."""
    rows = [
        row(f"1|a1|alice|{APRIL}|10|00:00:00|cpu=1,license/x=many"),
        f"2|a1|alice|{APRIL}|{APRIL + 31}|{APRIL}|0|20544-00:02:08|cpu=1",
        row(f"3|a2|bob|{APRIL}|10|00:00:00|cpu=x"),
    ]
    accounts = {"a1": "a1", "a2": "a2"}

    with capture_logs() as logs:
        reading = SlurmCluster(Sacct(rows, {}), "lab").measure(PERIOD, accounts, frozenset({"cpu"}))

    assert (set(reading.usage), set(reading.unread), reading.rows) == ({"a1"}, {"a2"}, 3)
    assert {(entry["event"], entry["log_level"], entry["month"]) for entry in logs} == {
        ("usage_not_understood", "error", "2026-04"),
        ("job_times_doubtful", "warning", "2026-04"),
        ("tres_not_understood", "warning", "2026-04"),
    }
