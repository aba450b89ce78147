"""What Flower shows of a task's arguments."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from slurm_tasks.app import app
from slurm_tasks.model.messages import (
    CollectRequest,
    Intent,
    Message,
    Outcome,
    ReconcileReport,
    ReconcileRequest,
    Status,
)
from slurm_tasks.model.usage import month_of
from slurm_tasks.tasks import runtime
from slurm_tasks.tasks.shown import shown
from tests.unit.build import RESOURCE, desired, uuid

ORDER = uuid("0a")
UTC = ZoneInfo("UTC")
MARCH = month_of(datetime(2025, 3, 15, tzinfo=UTC), UTC)
CREATE = desired(title="Genomics 2026", limits={"cpu": 60}, users=("alice", "bob"), order=ORDER)
MEMBERS = [desired(Intent.MEMBERS, backend_id=f"hpc_{n}", users=None) for n in range(5)]
APPLIED = Outcome(resource=RESOURCE, account="hpc_1", status=Status.APPLIED)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            ReconcileRequest(items=(CREATE,)),
            f"create 'Genomics 2026' cpu=60 users alice,bob order {ORDER}",
        ),
        (
            ReconcileRequest(items=tuple(MEMBERS)),
            "members hpc_0; members hpc_1; members hpc_2 and 2 more",
        ),
        (ReconcileReport(cluster="lab", outcomes=(APPLIED,)), "hpc_1: applied"),
        (CollectRequest(accounts={"hpc_1": RESOURCE}, periods=(MARCH,)), "2025-03 of hpc_1"),
    ],
    ids=["order", "members", "report", "collect"],
)
def test_a_message_is_shown_in_a_few_words(message: Message, words: str) -> None:
    """The names, the numbers and the people that a person looks for."""
    assert shown([message.dump()], {})["argsrepr"] == words


def test_an_order_is_shown_as_it_is() -> None:
    """Its uuid, by which it is found in Waldur."""
    assert shown([ORDER], None) == {"argsrepr": ORDER, "kwargsrepr": ""}


def test_names_of_arguments_are_shown() -> None:
    """So that a dry run can be told."""
    assert shown(None, {"dry_run": True})["kwargsrepr"] == "dry_run=True"


@pytest.mark.parametrize("name", sorted(n for n in app.tasks if n.startswith("slurm_")))
def test_every_task_shows_its_arguments(name: str) -> None:
    """Whoever sends it: beat, another task, or a retry."""
    assert isinstance(app.tasks[name], runtime.ReadableTask)
