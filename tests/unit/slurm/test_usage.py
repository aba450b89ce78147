"""What is asked of sacct, and how jobs become usage."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from slurm_tasks.errors import ParseError
from slurm_tasks.model.usage import Sums, month
from slurm_tasks.slurm.cluster import SlurmCluster
from slurm_tasks.slurm.commands import AccountUsage, Command, RanBy

PERIOD = month("2026-04", ZoneInfo("UTC"))
APRIL, MAY = PERIOD.start, PERIOD.end
HEADER = "JobIDRaw|Account|User|Start|ElapsedRaw|Suspended|AllocTRES\n"


def parsed(*rows: str) -> Sums:
    """Parse rows below the header, none of which is split."""
    sums, split = AccountUsage("lab", APRIL, MAY, ("a1",)).parse([HEADER, *rows])
    assert split == []
    return sums


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("zone", ["Asia/Kathmandu"], indirect=True)
def test_usage_is_asked_for_in_utc_and_half_open() -> None:
    """From the first second of the month to the first second of the next, wherever we are."""
    argv = AccountUsage("lab", APRIL, MAY, ("a1", "a2")).argv()

    assert "--starttime=2026-04-01T00:00:00" in argv
    assert "--endtime=2026-05-01T00:00:00" in argv
    assert "--accounts=a1,a2" in argv
    assert "--clusters=lab" in argv
    assert {"--allocations", "--allusers", "--duplicates", "--noconvert"} <= set(argv)
    assert not any(word.startswith(("--state", "--truncate")) for word in argv)
    assert argv[-1] == f"--format={HEADER.strip().lower().replace('|', ',')}"


def test_above_2000_names_usage_is_asked_for_without_them() -> None:
    """A longer list would be E2BIG; the accounts are picked from the output instead."""
    many = tuple(f"a{number}" for number in range(2001))

    assert any(word.startswith("--accounts") for word in AccountUsage("c", 0, 1, many[1:]).argv())
    assert not any(word.startswith("--accounts") for word in AccountUsage("c", 0, 1, many).argv())


@pytest.mark.parametrize(("start", "end"), [(MAY, APRIL), (APRIL, APRIL), (-1, APRIL)])
def test_a_period_without_length_is_refused(start: int, end: int) -> None:
    """Such a window means something else to sacct."""
    with pytest.raises(ValueError, match="is empty"):
        AccountUsage("lab", start, end, ("a1",)).argv()


def test_every_run_of_the_accounts_asked_for_counts() -> None:
    """Rows as sacct printed them: running, requeued, pending and another account's."""
    assert parsed(
        f"3|a3|carol|{APRIL}|50|00:00:00|billing=5,cpu=1,gres/gpu=1,mem=1000M,node=1\n",
        "2|a1|bob|Unknown|0|00:00:00|\n",
        f"1|a1|alice|{APRIL}|5|00:00:00|billing=2,cpu=2,mem=2000M,node=1\n",
        f"1|a1|alice|{APRIL + 9}|5|00:00:00|billing=1,cpu=1,mem=1000M,node=1\n",
    ) == {"a1": {"alice": {"billing": 15, "cpu": 15, "mem": 15000, "node": 10}}}


def test_runs_are_clipped_to_the_period() -> None:
    """Across its start, across its end, and longer than it."""
    assert parsed(
        f"1|a1|alice|{APRIL - 100}|150|00:00:00|cpu=1",
        f"2|a1|bob|{MAY - 30}|3600|00:00:00|cpu=1",
        f"3|a1|carol|{APRIL - 100}|9999999|00:00:00|cpu=1",
    ) == {"a1": {"alice": {"cpu": 50}, "bob": {"cpu": 30}, "carol": {"cpu": MAY - APRIL}}}


def test_suspended_time_is_read_with_days() -> None:
    """It counts for all but CPUs."""
    rows = f"1|a1|alice|{APRIL}|10|1-02:03:04|cpu=2,mem=1M"

    assert parsed(rows) == {"a1": {"alice": {"cpu": 20, "mem": 10 + 93784}}}


@pytest.mark.parametrize(
    "row",
    [
        f"1|a1|alice|{APRIL}|00:00:05|00:00:00|cpu=1",
        f"1|a1|alice|{APRIL}||00:00:00|cpu=1",
        f"1|a1|alice|{APRIL}|²|00:00:00|cpu=1",
        f"1|a1|alice|{APRIL}|5||cpu=1",
        f"1|a1|alice|{APRIL}|5|10|cpu=1",
        f"1|a1|alice|{APRIL}|5|00:00:00|cpu=x",
        "1|a1|alice|Unknown|5|00:00:00|cpu=1",
        f"1|a1|alice|{APRIL}|5",
    ],
)
def test_usage_that_is_not_understood_is_an_error(row: str) -> None:
    """A job's row that can't be read is never a job that used nothing."""
    with pytest.raises(ParseError, match=r"a job|the TRES string|expected 7 columns"):
        parsed(row)


def test_times_that_are_not_seconds_name_their_cause() -> None:
    """A wrapper around sacct that drops its environment would print, and read, local time."""
    with pytest.raises(ParseError, match="SLURM_TIME_FORMAT"):
        parsed("1|a1|alice|2026-04-01T00:00:00|5|00:00:00|cpu=1")


def test_memory_does_not_grow_with_the_jobs() -> None:
    """After 200,000 rows no more is held than after 10,000."""
    blocks = []

    def lines() -> Iterator[str]:
        yield HEADER
        for job in range(200_000):
            yield f"{job}|a1|user{job % 50}|{APRIL + job}|60|00:00:00|cpu=4,mem=4096M,node=1\n"
            if job % 10_000 == 0:
                blocks.append(sys.getallocatedblocks())

    sums, _ = AccountUsage("lab", APRIL, MAY, ("a1",)).parse(lines())

    assert sum(by["cpu"] for by in sums["a1"].values()) == 200_000 * 60 * 4
    assert blocks[-1] - blocks[1] < 1000


def test_what_had_run_by_a_moment_is_asked_of_jobs_by_number() -> None:
    """Clipped at the end only: a window from 0 on would mean from today on."""
    argv = RanBy("lab", MAY, ("7", "8")).argv()

    assert {"--jobs=7,8", "--truncate", "--duplicates", "--clusters=lab"} <= set(argv)
    assert "--starttime=1970-01-01T00:00:01" in argv
    assert "--endtime=2026-05-01T00:00:00" in argv
    assert argv[-1] == "--format=jobidraw,start,elapsedraw"


def test_what_had_run_by_a_moment_is_told_by_run() -> None:
    """A requeued job has several, each with its start."""
    rows = ["JobIDRaw|Start|ElapsedRaw\n", "7|100|5\n", "7|200|6\n"]

    assert RanBy("lab", MAY, ("7",)).parse(rows) == {("7", 100): 5, ("7", 200): 6}


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
    ran: dict[int, dict[tuple[str, int], int]]
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
    row = f"7|a1|alice|{APRIL - 100}|80|00:02:20|cpu=2,mem=1M"
    sacct = Sacct([row], {APRIL: {("7", APRIL - 100): 30}, MAY: {("7", APRIL - 100): 80}})

    assert measured(sacct) == {"cpu": 2 * 50, "mem": 120}
    assert [type(command) for command in sacct.asked] == [AccountUsage, RanBy, RanBy]


def test_a_run_that_is_suspended_still_ran_no_longer_than_it_has() -> None:
    """Sacct's clipped listing counts it as running ever since; it was suspended before May."""
    row = f"7|a1|alice|{MAY - 100}|40|01:00:00|cpu=1,mem=1M"
    sacct = Sacct([row], {APRIL: {}, MAY: {("7", MAY - 100): 100}})

    assert measured(sacct) == {"cpu": 40, "mem": 100}


def test_without_suspended_runs_across_an_edge_one_command_is_enough() -> None:
    """Also where jobs span it, or were suspended within the month."""
    rows = [
        f"7|a1|alice|{APRIL - 100}|200|00:00:00|cpu=1",
        f"8|a1|alice|{APRIL}|10|00:00:10|cpu=1",
    ]
    sacct = Sacct(rows, {})

    assert measured(sacct) == {"cpu": 110}
    assert len(sacct.asked) == 1


def test_many_suspended_runs_are_asked_for_in_parts() -> None:
    """A list of thousands would not fit on a command line."""
    rows = [f"{job}|a1|alice|{APRIL - 10}|20|00:00:05|cpu=1" for job in range(1001)]
    sacct = Sacct(rows, {APRIL: {}, MAY: {}})

    measured(sacct)

    assert [len(c.jobs) for c in sacct.asked if isinstance(c, RanBy)] == [1000, 1, 1000, 1]
