"""What the QoS of paused and downscaled resources are good for is asked when one is needed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeVar

import pytest
from structlog.testing import capture_logs

from slurm_tasks.errors import CommandError
from slurm_tasks.model.messages import Intent
from slurm_tasks.model.qos import Qos
from slurm_tasks.model.rules import QosRules
from slurm_tasks.slurm import commands
from slurm_tasks.slurm.cluster import SlurmCluster
from slurm_tasks.slurm.commands import Command
from slurm_tasks.sync.qos_rules import effective
from tests.support.fakes import FakeSlurm
from tests.unit.build import RULES, cluster, desired

T = TypeVar("T")
BOTH = QosRules(paused="stopped", downscaled="slow", usual="normal")
KNOWN = {"normal": Qos(), "slow": Qos(), "stopped": Qos(user=0)}


@dataclass
class Asked(FakeSlurm):
    """A cluster that remembers what it was asked, and may not answer."""

    asked: list[type] = field(default_factory=list)
    deaf_to: type | None = None

    def read(self, command: Command[T]) -> T:
        """Answer, or not."""
        self.asked.append(type(command))
        if type(command) is self.deaf_to:
            raise CommandError(command.argv(), "exit code 1", 1, "is away")
        return super().read(command)


def found(slurm: FakeSlurm, qos: QosRules = BOTH, **flags: object) -> QosRules:
    """Return the rules about QoS as they are for one allocation with these flags."""
    return effective(
        SlurmCluster(slurm, "lab"), replace(RULES, qos=qos), [desired(Intent.MEMBERS, **flags)]
    ).qos


def site(enforced: str = "associations,limits,qos", **qos: Qos) -> Asked:
    """Make a cluster that has those QoS."""
    return Asked(cluster(), qos=KNOWN | qos, config={"AccountingStorageEnforce": enforced})


@pytest.mark.parametrize("flags", [{}, {"paused": False, "downscaled": False}])
def test_nothing_is_asked_while_no_flag_is_set(flags: dict[str, bool]) -> None:
    """The reads would be for nothing."""
    slurm = site()

    assert found(slurm, BOTH, **flags) == BOTH
    assert found(slurm, QosRules(), paused=True, downscaled=True) == QosRules()
    assert slurm.asked == []


def test_a_qos_that_refuses_jobs_closes_an_account() -> None:
    """Two reads; a downscaled one needs only the first."""
    slurm = site()

    assert found(slurm, paused=True).paused_closes
    assert slurm.asked == [commands.ShowQos, commands.ShowConfig]
    slurm.asked.clear()
    found(slurm, downscaled=True)
    assert slurm.asked == [commands.ShowQos]


@pytest.mark.parametrize(
    "slurm",
    [
        site(stopped=Qos()),
        site(stopped=Qos(5, 5, 5)),
        site("associations,limits"),
        replace(site(), deaf_to=commands.ShowQos),
        replace(site(), deaf_to=commands.ShowConfig),
    ],
    ids=["no limits", "other limits", "not enforced", "slurmdbd away", "slurmctld away"],
)
def test_what_takes_jobs_or_is_not_known_does_not_close(slurm: Asked) -> None:
    """The account's limits do then; the QoS is still the one to switch to."""
    assert found(slurm, paused=True) == replace(BOTH, paused_closes=False)


def test_a_qos_that_is_not_there_is_none() -> None:
    """The log names it; the other one goes on."""
    slurm = replace(site(), qos={"normal": Qos(), "slow": Qos()})

    with capture_logs() as logs:
        rules = found(slurm, paused=True)

    assert (rules.paused, rules.downscaled) == (None, "slow")
    (line,) = logs
    assert (line["event"], line["qos"]) == ("qos_missing", ["stopped"])
