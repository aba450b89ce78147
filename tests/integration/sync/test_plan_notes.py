"""What a plan says of what it doesn't change: limits that stay, and accounts that nobody knows."""

from __future__ import annotations

from slurm_tasks.model import components
from slurm_tasks.model.findings import Verdict
from slurm_tasks.sync import cluster, unlinked
from tests.support.world import CONFIGURATION, World


def with_limit(world: World, limit: int) -> None:
    """Change the limit of the usage-based component in the TRES configuration."""
    text = CONFIGURATION.replace("limit: 40000", f"limit: {limit}")
    world.configure(components=components.parse(text, "the test's configuration"))


def test_a_configured_limit_stays(world: World) -> None:
    """The cluster owns the limits: an account keeps its own, and the plan says so."""
    world.allocated()
    assert world.plan().outcomes[0].notes == ()
    with_limit(world, 50000)
    (outcome,) = world.plan().outcomes
    assert outcome.changes == ()
    (note,) = outcome.notes
    assert str(50000 * 61440) in note
    assert "next Update" in note
    world.sync_members()
    (outcome,) = world.plan().outcomes
    assert len(outcome.notes) == 1


def test_a_configured_limit_is_applied(world: World) -> None:
    """Waldur owns the limits: the next member sync sets it."""
    resource = world.allocated()
    world.configure(limit_owner="waldur")
    with_limit(world, 50000)
    (outcome,) = world.plan().outcomes
    assert (len(outcome.changes), outcome.notes) == (1, ())
    world.sync_members()
    assert world.account(resource).limits["mem"] == 50000 * 61440


def test_an_unlinked_account_is_named(world: World) -> None:
    """Staff have unlinked its resource: it is named with what removes it, and stays."""
    kept, resource = world.allocated("Kept"), world.allocated("Unlinked")
    name = world.backend_id(resource)
    world.waldur.unlink(resource)
    report = unlinked.named(world.control, world.plan())
    (said,) = report.unknown
    assert said.startswith(f"{name}: ")
    assert f"sacctmgr remove account where name={name}" in said
    assert world.backend_id(kept) not in said
    (found,) = unlinked.findings(world.control, cluster.reconcile(unlinked.EVERY, world.node))
    assert (found.verdict, found.message) == (Verdict.WARNING, said)
    world.sync_members()
    assert name in world.slurm.accounts()


def test_what_waits_in_waldur_is_not_named(world: World) -> None:
    """A resource that the plan leaves out, as an order ends it, is there."""
    resource = world.allocated()
    world.waldur.order_terminate(resource)
    report = world.plan()
    assert list(report.marked.values()) == [resource]
    assert unlinked.named(world.control, report).unknown == ()


def test_a_terminated_ones_account(world: World) -> None:
    """One whose resource came to its end without us is named as such."""
    resource, other = world.allocated(), world.allocated("Other")
    world.waldur.set_resource(resource, state="Terminated")
    report = world.plan().model_copy(update={"marked": {world.backend_id(resource): resource}})
    (said,) = unlinked.named(world.control, report).unknown
    assert "is Terminated" in said
    assert other
