"""A month without a single job record: believed, confirmed, or a read that failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from structlog.testing import capture_logs

from slurm_tasks.errors import AccessDeniedError, CommandError, FailedReadError
from slurm_tasks.model.purge import Accounting, Purge
from slurm_tasks.model.usage import Tally, month
from slurm_tasks.slurm import commands
from slurm_tasks.slurm.cluster import SlurmCluster
from slurm_tasks.slurm.commands import Command
from slurm_tasks.slurm.commands.usage import Listing
from slurm_tasks.sync.measure import Measured, measure

MAY = month("2026-05", ZoneInfo("UTC"))
KEPT = Accounting(release=(24, 11), client=(24, 11))
DAY = 86400

pytestmark = pytest.mark.usefixtures("_may")


@pytest.fixture
def _may() -> Any:  # noqa: ANN401 - a traveller
    with time_machine.travel(datetime(2026, 5, 10, tzinfo=UTC)) as traveller:
        yield traveller


@dataclass
class Records:
    """A slurmdbd whose job records are told by their ends, and a slurmctld that counts.

    Attributes:
        ends: of jobs of the accounts asked for; None: of one that runs.
        others: ends of everybody else's jobs.
        used: whether slurmctld counts usage, by account.
        reset: its PriorityUsageResetPeriod.
        readable: whether slurmdbd can read its job records.
        level: what we are to slurmdbd.
        asked: the commands.
    """

    ends: tuple[int | None, ...] = ()
    others: tuple[int, ...] = ()
    used: Mapping[str, bool] = field(default_factory=lambda: {"root": False, "a1": False})
    reset: str = "MONTHLY"
    readable: bool = True
    level: str = "Administrator"
    asked: list[Command[Any]] = field(default_factory=list)

    def read(self, command: Command[Any]) -> Any:  # noqa: ANN401 - whatever the command gives
        """Answer one."""
        command.argv()
        self.asked.append(command)
        match command:
            case commands.AccountUsage():
                rows = [x for x in self.ends if x is None or command.start <= x < command.end]
                return Listing(Tally(["a1"]), rows=len(rows) if self.readable else 0)
            case commands.FindJobs():
                known = self.ends if command.accounts else (*self.ends, *self.others)
                found = [x for x in known if x is None or command.start <= x < command.end]
                first, last = command.period
                inside = any(x is None or first < x < last for x in found)
                return (len(found), inside) if self.readable else (0, False)
            case commands.ShowStatistics() if self.level != "Administrator":
                raise AccessDeniedError(["sacctmgr"], "refused", 1)
            case _:
                return self._answers().get(type(command))

    def _answers(self) -> dict[type, object]:
        return {
            commands.ShowUsed: self.used,
            commands.ShowConfig: {"PriorityUsageResetPeriod": self.reset},
            commands.WhoAmI: "waldur-slurm",
            commands.ShowLevel: self.level,
        }

    def write(self, command: object, inherit: tuple[int, ...] = ()) -> str:
        """Never called."""
        raise AssertionError(command, inherit)

    def of(self, kind: type) -> list[Any]:
        """Return the commands of a kind that were asked."""
        return [command for command in self.asked if isinstance(command, kind)]


def measured(records: Records, accounting: Accounting = KEPT) -> Measured:
    """Measure a1 in May."""
    return measure(SlurmCluster(records, "lab"), [MAY], {"a1": "a1"}, accounting)


def test_a_month_with_records_needs_no_other_witness() -> None:
    """Nothing else is asked."""
    records = Records(ends=(MAY.start + 5,))

    found = measured(records)

    assert set(found.readings) == {"2026-05"}
    assert [type(command) for command in records.asked] == [commands.AccountUsage]


def test_a_month_before_the_first_job_is_confirmed_by_later_records() -> None:
    """What slurmctld counts is of June."""
    records = Records(ends=(MAY.end + 5,), used={"root": True, "a1": True})

    with time_machine.travel(datetime(2026, 6, 10, tzinfo=UTC)):
        found = measured(records)

    assert (set(found.readings), found.failed, found.unconfirmed) == ({"2026-05"}, {}, ())


@pytest.mark.parametrize("days", [0.5, 3, 100, 5000])
def test_an_idle_month_is_confirmed_by_earlier_records(days: float) -> None:
    """What slurmctld counts may be from then: it isn't even asked. An idle cluster reports zero."""
    records = Records(ends=(int(MAY.start - days * DAY),), used={"root": True, "a1": True})

    found = measured(records)

    assert (set(found.readings), found.failed, found.unconfirmed) == ({"2026-05"}, {}, ())
    assert records.of(commands.ShowUsed) == []


def test_a_month_without_any_record_ever_is_a_failed_read_where_slurmctld_counts_usage() -> None:
    """Slurmdbd could not read its records: told, with what to do."""
    records = Records(ends=(MAY.start + 5,), readable=False, used={"root": True, "a1": True})

    with capture_logs() as logs:
        found = measured(records)

    assert found.readings == {}
    assert "slurmctld counts usage of 'a1'" in found.failed["2026-05"]
    assert "RawUsage=0" in found.failed["2026-05"]
    assert [entry["event"] for entry in logs] == ["usage_read_failed"]
    with pytest.raises(FailedReadError, match="its usage of 2026-05 can't be read"):
        found.of("a1")


def test_listings_that_contradict_each_other_are_a_failed_read() -> None:
    """The longer one lists a job of the month that the other one left out."""

    class Once(Records):
        def read(self, command: Command[Any]) -> Any:  # noqa: ANN401 - as above
            self.readable = isinstance(command, commands.FindJobs)
            return super().read(command)

    assert "and then it did" in measured(Once(ends=(MAY.start + 5,))).failed["2026-05"]
    assert "and then it did" in measured(Once(ends=(None,))).failed["2026-05"]


def test_a_cluster_that_nobody_ever_used_is_unconfirmed() -> None:
    """Zero, unless Waldur knows better."""
    found = measured(Records())

    assert (set(found.readings), found.failed) == ({"2026-05"}, {})
    assert found.unconfirmed == ("2026-05",)


@pytest.mark.parametrize(
    ("after", "reset", "fails"),
    [
        (Purge(12, "months"), "MONTHLY", True),
        (Purge(12, "months"), "QUARTERLY", True),
        (Purge(1, "months"), "QUARTERLY", False),
        (Purge(12, "months"), "NONE", False),
        (None, "NONE", True),
    ],
)
def test_what_slurmctld_counts_may_be_of_records_that_were_thrown_away(
    after: Purge | None, reset: str, fails: bool
) -> None:
    """Then it is no witness: a cluster that has been idle for long isn't blocked for ever."""
    records = Records(used={"root": True, "a1": True}, reset=reset)

    found = measured(records, Accounting(after, release=(24, 11)))

    assert bool(found.failed) is fails
    assert bool(found.unconfirmed) is not fails


def test_after_its_removal_an_allocation_is_doubted_if_nobodys_records_are_there() -> None:
    """Slurmctld has forgotten it, but not that somebody used the cluster."""
    gone = {"root": True, "a2": True}

    assert "any time" in measured(Records(used=gone)).failed["2026-05"]
    assert measured(Records(used=gone, others=(MAY.start - 500 * DAY,))).unconfirmed
    assert measured(Records(used={"root": False})).unconfirmed


def test_a_slurmctld_that_is_away_is_no_witness() -> None:
    """Nothing is known then: the read fails as a whole."""

    class Away(Records):
        def read(self, command: Command[Any]) -> Any:  # noqa: ANN401 - as above
            if isinstance(command, commands.ShowUsed):
                raise CommandError(["scontrol"], "exit code 1", 1)
            return super().read(command)

    with pytest.raises(CommandError):
        measured(Away())


@pytest.mark.parametrize(
    ("private", "release", "level", "hidden"),
    [
        ("jobs", (22, 5), "None", True),
        ("jobs", (24, 11), "Operator", False),
        ("jobs", (24, 11), "Administrator", False),
        ("usage", (24, 11), "None", False),
        ("", (24, 11), "None", False),
        ("", (26, 5), "None", True),  # it says `none` whatever it is
        ("", (26, 5), "Operator", False),
    ],
)
def test_where_jobs_may_be_hidden_from_us_nothing_is_measured(
    private: str, release: tuple[int, int], level: str, hidden: bool
) -> None:
    """What we see may be a part: it is no usage at all, whoever's jobs it holds."""
    records = Records(ends=(MAY.start + 5,), level=level)
    accounting = Accounting(None, frozenset(filter(None, [private])), release)

    found = measured(records, accounting)

    assert bool(found.failed) is hidden
    assert (records.of(commands.AccountUsage) == []) is hidden
    assert not hidden or "adminlevel=Operator" in found.failed["2026-05"]


def test_an_empty_month_before_one_with_records_needs_no_other_witness() -> None:
    """The records can be read: nothing more is asked."""
    records = Records(ends=(MAY.start + 5,), used={"root": True, "a1": True})
    april = month("2026-04", ZoneInfo("UTC"))

    found = measure(SlurmCluster(records, "lab"), [april, MAY], {"a1": "a1"}, KEPT)

    assert (list(found.readings), found.unconfirmed) == (["2026-04", "2026-05"], ())
    assert [type(command) for command in records.asked] == 2 * [commands.AccountUsage]


def test_purged_months_are_named_and_not_read() -> None:
    """As before there was any doubt."""
    found = measured(Records(), Accounting(Purge(1, "days")))

    assert (found.purged, found.readings, found.failed) == (("2026-05",), {}, {})


def test_without_accounts_nothing_is_doubted() -> None:
    """An offering without allocations."""
    records = Records()

    found = measure(SlurmCluster(records, "lab"), [MAY], {}, KEPT)

    assert (found.failed, found.unconfirmed, records.asked) == ({}, (), [])
