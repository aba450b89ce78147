"""Limits in TRES-minutes, and the blocking of submissions."""

from __future__ import annotations

import pytest

from tests.contract.slurm.lab import Lab


def _limits(cluster: Lab) -> str:
    return cluster.tree()["p1"].limits


def test_setting_some_limits_keeps_the_others(cluster: Lab) -> None:
    """What is not named stays."""
    cluster.add_account("p1", "waldur", "GrpTRESMins=cpu=100,mem=200000,gres/gpu=30")

    assert cluster.modify("p1", "GrpTRESMins=cpu=150").code == 0
    assert _limits(cluster) == "cpu=150,gres/gpu=30,mem=200000M"


def test_minus_one_clears_and_zero_is_a_limit(cluster: Lab) -> None:
    """No limit and a limit of zero are two things."""
    cluster.add_account("p1", "waldur", "GrpTRESMins=cpu=100,gres/gpu=30")

    cluster.modify("p1", "GrpTRESMins=cpu=-1,gres/gpu=0")

    assert _limits(cluster) == "gres/gpu=0"


def test_zero_memory_is_shown_with_its_unit(cluster: Lab) -> None:
    """Reading it must not depend on a unit's presence."""
    cluster.add_account("p1", "waldur", "GrpTRESMins=mem=0")

    assert _limits(cluster) == "mem=0"


def test_all_limits_can_be_cleared_at_once(cluster: Lab) -> None:
    """Each is named with -1."""
    cluster.add_account("p1", "waldur", "GrpTRESMins=cpu=1,mem=2,gres/gpu=3")

    cluster.modify("p1", "GrpTRESMins=cpu=-1,mem=-1,gres/gpu=-1")

    assert not _limits(cluster)


def test_minus_one_at_add_sets_nothing(cluster: Lab) -> None:
    """An account can be added with limits that are none."""
    assert cluster.add_account("p1", "waldur", "GrpTRESMins=cpu=-1,gres/gpu=2").code == 0
    assert _limits(cluster) == "gres/gpu=2"


@pytest.mark.parametrize(
    ("megabytes", "shown"),
    [
        *((1, "1M"), (1000, "1000M"), (1023, "1023M"), (200000, "200000M")),
        *((1024, "1G"), (2048, "2G"), (1536, "1.50G"), (2816, "2816M"), (1048576, "1T")),
        (512 * 1024 * 3, "1.50T"),
    ],
)
def test_memory_is_shown_in_a_larger_unit_where_halves_suffice(
    cluster: Lab, megabytes: int, shown: str
) -> None:
    """Up to there it can be read back exactly."""
    cluster.add_account("p1", "waldur", f"GrpTRESMins=mem={megabytes}")

    assert _limits(cluster) == f"mem={shown}"


def test_memory_beyond_halves_of_a_gigabyte_is_shown_rounded(cluster: Lab) -> None:
    """512 MB are lost in the listing: 2560.5 GB pass for two and a half TB."""
    cluster.add_account("p1", "waldur", f"GrpTRESMins=mem={2560 * 1024 + 512}")

    assert _limits(cluster) == "mem=2.50T"


def test_counts_other_than_memory_are_plain(cluster: Lab) -> None:
    """However round they are, and however large."""
    cluster.add_account("p1", "waldur", "GrpTRESMins=cpu=1048576,billing=99999999999999")

    assert _limits(cluster) == "billing=99999999999999,cpu=1048576"


def test_one_unknown_tres_refuses_them_all(cluster: Lab) -> None:
    """At modify nothing is changed, at add nothing is made."""
    cluster.add_account("p1", "waldur", "GrpTRESMins=cpu=1")

    changed = cluster.modify("p1", "GrpTRESMins=cpu=10,foo=5")
    added = cluster.add_account("p2", "waldur", "GrpTRESMins=cpu=10,foo=5")

    assert (changed.code, added.code) == (1, 1)
    assert "no TRES known by type foo" in changed.err
    assert _limits(cluster) == "cpu=1"
    assert "p2" not in cluster.listed()


@pytest.mark.parametrize("limits", ["", "-1"])
def test_a_limit_without_a_tres_is_refused(cluster: Lab, limits: str) -> None:
    """Neither an empty list nor a bare -1 clears all."""
    cluster.add_account("p1", "waldur", "GrpTRESMins=cpu=1")

    assert cluster.modify("p1", f"GrpTRESMins={limits}").code == 1
    assert _limits(cluster) == "cpu=1"


@pytest.mark.parametrize(("given", "stored"), [("12.7", "cpu=12"), ("abc", "cpu=0")])
def test_what_is_no_integer_is_stored_wrongly_with_exit_0(
    cluster: Lab, given: str, stored: str
) -> None:
    """Only stderr tells, and the state read back."""
    cluster.add_account("p1")

    done = cluster.modify("p1", f"GrpTRESMins=cpu={given}")

    assert done.code == 0
    assert "Invalid unit type" in done.err
    assert _limits(cluster) == stored


def test_blocking_submission_is_shown_and_cleared(cluster: Lab) -> None:
    """GrpSubmitJobs=0 is shown as 0, and -1 takes it away."""
    cluster.add_account("p1")

    cluster.modify("p1", "GrpSubmitJobs=0")
    blocked = cluster.tree()["p1"].blocked
    cluster.modify("p1", "GrpSubmitJobs=-1")

    assert (blocked, cluster.tree()["p1"].blocked) == ("0", "")
