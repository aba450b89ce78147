"""The names that SLURM takes for TRES: in limits, in what it acts by, and in what jobs held."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from slurm_tasks.model import tres
from slurm_tasks.model.cluster import Key
from slurm_tasks.slurm.commands import ShowAccounts, ShowAssociations, ShowTres
from tests.contract.slurm.lab import Lab
from tests.support.clusters import InjectedJob

STRANGE = ("gres/gpu:1g.5gb+me", "license/matlab@flex", "bb/scratch")
"""Configured in AccountingStorageTRES, and accepted by all releases."""


@pytest.mark.parametrize("name", STRANGE)
def test_a_name_that_slurm_takes_is_read_everywhere(cluster: Lab, name: str) -> None:
    """In the listing of TRES, in a limit, and in what slurmctld acts by; capitals are folded."""
    assert cluster.add_account("p1", "waldur", f"GrpTRESMins=cpu=3,{name.upper()}=1536").code == 0

    listed = cluster.sacctmgr(*ShowTres("lab").argv()[2:]).out.splitlines()
    assert name in ShowTres("lab").parse(listed)
    rows = cluster.sacctmgr(*ShowAccounts("lab").argv()[2:]).out.splitlines()
    stored = ShowAccounts("lab").parse(rows).accounts["p1"]
    assert (stored.limits, stored.unread_limits) == ({"cpu": 3, name: 1536}, {})
    shown = cluster.run("scontrol", *ShowAssociations("lab").argv()).out.splitlines()
    acted_by = ShowAssociations("lab").parse(shown).associations
    assert acted_by[Key("p1")].limits == {"cpu": 3, name: 1536}


def test_burst_buffers_are_counted_in_megabytes_like_memory(cluster: Lab) -> None:
    """They are listed with the same units, and rounded in the same way."""
    cluster.add_account("p1", "waldur", "GrpTRESMins=bb/scratch=2621952,mem=2621952")

    assert cluster.tree()["p1"].limits == "bb/scratch=2.50T,mem=2.50T"
    assert tres.parse("bb/scratch=2.50T") == {"bb/scratch": tres.listed("bb/scratch", 2621952)}


def test_what_a_job_held_is_listed_by_any_name(cluster: Lab) -> None:
    """A licence of a remote server among them."""
    cluster.add_account("p1")
    cluster.add_users("alice", "p1")
    start = int(datetime(2026, 10, 5, tzinfo=UTC).timestamp())
    held = "cpu=1,gres/gpu:1g.5gb+me=2,license/matlab@flex=1,mem=100M,node=1"
    cluster.inject([InjectedJob("p1", "alice", start, start + 8, held)])

    [[*_, listed]] = cluster.usage("2026-10-01T00:00:00", "2026-11-01T00:00:00")

    assert listed == held
    assert tres.parse(listed)["license/matlab@flex"] == 1
