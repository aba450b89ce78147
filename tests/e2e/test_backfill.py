"""Months that are reported by hand: one by one, with progress, and resumed when cut off."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from slurm_tasks.demo.slurm import SlurmSimulator
from tests.e2e.test_shell import run, simulator
from tests.support.service import Service
from tests.support.shell import shell

__all__ = ["run", "simulator"]  # the fixtures

pytestmark = pytest.mark.xdist_group("shell")


def recent(count: int) -> list[str]:
    """Return the last months before this one, oldest first."""
    months = [datetime.now(UTC).replace(day=1)]
    while len(months) <= count:
        months.insert(0, (months[0] - timedelta(days=1)).replace(day=1))
    return [f"{month:%Y-%m}" for month in months[:-1]]


MONTHS = recent(3)


@pytest.fixture
def resource(run: Service, simulator: SlurmSimulator) -> str:
    """Make an allocation with a job in each of the months: 1, 2 and 3 CPU-hours."""
    order = run.waldur.order_create(run.project("erin"), "Backfill", {"cpu": 10, "gres/gpu": 1})
    assert shell(run.environment, "orders", "process", order).returncode == 0
    found = str(run.waldur.order(order)["marketplace_resource_uuid"])
    for hours, month in enumerate(MONTHS, 1):
        start = datetime.fromisoformat(f"{month}-10T00:00:00+00:00")
        simulator.add_job(run.account(found), "erin", start, 3600, {"cpu": hours})
    return found


def cpu(run: Service, resource: str) -> dict[str, Decimal]:
    """Return what Waldur has as CPU-hours by month."""
    usages = run.waldur.usages(resource).items()
    return {period[:7]: value for (kind, period), value in usages if kind == "cpu"}


def test_months_are_reported_one_by_one(run: Service, resource: str) -> None:
    """A dry run shows old and new values; the report tells of each month; a second posts none."""
    span = ("usage", "report", "--from", MONTHS[0], "--to", MONTHS[-1])

    dry = shell(run.environment, *span, "--dry-run")
    assert (dry.returncode, cpu(run, resource)) == (0, {})
    for month, value in zip(MONTHS, ("1.00", "2.00", "3.00"), strict=True):
        assert f"{month}: 1 to post" in dry.stderr
        (row,) = [line for line in dry.stdout.splitlines() if month in line and "cpu" in line]
        assert row.split()[-2:] == ["0.00", value]

    done = shell(run.environment, *span)
    assert done.returncode == 0, done.stderr
    assert [f"{month}: 1 posted" in done.stderr for month in MONTHS] == [True] * 3
    assert cpu(run, resource) == {month: Decimal(n) for n, month in enumerate(MONTHS, 1)}

    again = shell(run.environment, *span, "--json")
    assert [part["posted"] for part in json.loads(again.stdout)] == [[], [], []]
    assert [f"{month}: as in Waldur" in again.stderr for month in MONTHS] == [True] * 3


def test_a_report_that_was_cut_off_is_resumed(run: Service, resource: str) -> None:
    """It says where it stopped and how to go on; that posts what was left, and only that."""
    run.waldur.faults.add(kind="status", status=500, method="POST", path="set_usage/", times=None)
    cut = shell(
        run.environment, "usage", "report", "--local", "--from", MONTHS[1], "--to", MONTHS[2]
    )
    run.waldur.faults.clear()
    command = f"slurm-tasks usage report --from {MONTHS[1]} --to {MONTHS[2]}"
    assert cut.returncode == 1
    assert f"stopped at {MONTHS[1]}; go on with: {command}" in cut.stderr

    assert shell(run.environment, *command.split()[1:]).returncode == 0
    assert set(cpu(run, resource)) == set(MONTHS[1:])


def test_a_purged_month_is_refused(run: Service, resource: str, simulator: SlurmSimulator) -> None:
    """It is a failure of the command, the other months are reported."""
    simulator.purge_jobs("1 months", datetime.fromisoformat(f"{MONTHS[-1]}-01T00:00:00+00:00"))
    try:
        done = shell(run.environment, "usage", "report", "--from", MONTHS[1], "--to", MONTHS[2])
    finally:
        simulator.purge_jobs("NONE", datetime.fromtimestamp(0, UTC))
    assert done.returncode == 1
    assert f"{MONTHS[1]}: the cluster doesn't hold all job records" in done.stdout
    assert cpu(run, resource) == {MONTHS[2]: Decimal("3.00")}


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--from", "2026-13"), "'2026-13' is not a month; write YYYY-MM"),
        (("--from", "26-1"), "'26-1' is not a month"),
        (("--to", "2026-01"), "say --from, too"),
        (("--from", "2026-03", "--to", "2026-01"), "--from 2026-03 is after --to 2026-01"),
    ],
)
def test_mistyped_months_are_explained(argv: tuple[str, ...], said: str) -> None:
    """Before anything is asked of anybody, with exit code 2."""
    done = shell({}, "usage", "report", *argv)

    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
