"""How an order waits: what is deferred and asked for anew, and what is a failure."""

from __future__ import annotations

import pytest

from slurm_tasks.errors import CommandError, LockHeldError, TransientError
from slurm_tasks.model.messages import ReconcileReport, ReconcileRequest, Status
from slurm_tasks.tasks import cluster, runtime
from tests.unit.build import RESOURCE, desired, uuid

AWAY = CommandError(["sacctmgr", "show"], "exit code 1", 1, "slurmdbd is away")
HELD = LockHeldError("another process on this host writes to the cluster")


def reconciled(
    monkeypatch: pytest.MonkeyPatch, error: TransientError, *, last: bool
) -> ReconcileReport:
    """Run the head node's task while something is in its way."""

    def fail() -> None:
        raise error

    monkeypatch.setattr(cluster, "headnode", fail)
    request = ReconcileRequest(items=(desired(order=uuid("0a")),), last=last)
    return ReconcileReport.model_validate(cluster.reconcile(request.dump()))


@pytest.mark.parametrize(("error", "last"), [(HELD, False), (HELD, True), (AWAY, False)])
def test_what_is_in_the_way_defers(
    error: TransientError, last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order's outcome says why; the message is not tried again."""
    (outcome,) = reconciled(monkeypatch, error, last=last).outcomes

    assert (outcome.status, outcome.message) == (Status.DEFERRED, str(error))
    assert (outcome.resource, outcome.order) == (RESOURCE, uuid("0a"))


def test_a_cluster_that_is_away_at_the_last_attempt_is_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Then it is told like every task's, in the log, the metric and to Sentry."""
    with pytest.raises(CommandError):
        reconciled(monkeypatch, AWAY, last=True)


def test_the_head_nodes_task_is_never_retried() -> None:
    """By then Waldur may want something else."""
    assert cluster.reconcile.max_retries == 0


@pytest.mark.parametrize(
    ("interval", "pauses"),
    [(1, (1 / 24, 1 / 12, 1 / 6, 1 / 3)), (60, (2.5, 5, 10, 20))]
    + [(interval, (5, 10, 20, 40)) for interval in (120, 3600)],
)
def test_an_order_is_taken_up_anew_after_ever_longer_pauses(
    interval: float, pauses: tuple[float, ...]
) -> None:
    """They differ: what waits for the same doesn't come back, and meet its lock, at once."""
    for attempt, longest in enumerate(pauses):
        pause = runtime.pause(attempt, interval)
        assert pause is not None
        assert 0.8 * longest <= pause <= longest
    assert runtime.pause(4, interval) is None


@pytest.mark.parametrize("interval", [1, 5, 76, 120, 3600])
def test_all_pauses_lie_within_the_schedules_interval(interval: float) -> None:
    """Afterwards the schedule takes the order up, and two rows of attempts never go on at once."""
    assert sum(runtime.pause(attempt, interval) or 0 for attempt in range(4)) < interval
