"""Usage that Waldur takes in part, too late or not at all; and what the cluster can't tell."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
import time_machine
from structlog.testing import capture_logs

from slurm_tasks.errors import PermanentError
from slurm_tasks.model.usage import month
from slurm_tasks.sync import usage
from slurm_tasks.sync.collect import collect
from tests.integration.sync.test_usage import FEBRUARY, HOUR, MARCH, events, job, sent, shrunk
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("march")

TALLINN = ZoneInfo("Europe/Tallinn")


def greedy(world: World) -> str:
    """Make an allocation whose memory is over the component's limit, and whose CPUs aren't."""
    resource = world.allocated()
    job(world, resource)
    world.report_usage()
    world.slurm.add_job(
        world.backend_id(resource), "alice", MARCH, HOUR, {"cpu": 4, "mem": 40001 * 1024}
    )
    return resource


def test_one_component_over_its_limit(refusing: World) -> None:
    """It keeps what Waldur has, the rest is posted, users' parts too; it is one warning."""
    resource = greedy(refusing)
    with capture_logs() as logs:
        (report,) = refusing.report_usage()
    found = refusing.waldur.usages(resource)
    assert (found["cpu", "2025-03-01"], found["mem", "2025-03-01"]) == (
        Decimal("8.00"),
        Decimal("1.00"),
    )
    assert refusing.waldur.user_usages(resource)["cpu", "2025-03-01", "alice"] == Decimal("8.00")
    assert refusing.waldur.user_usages(resource)["mem", "2025-03-01", "alice"] == Decimal("1.00")
    (warning,) = events(logs, "usage_refused")
    assert warning["reason"].startswith("mem: ")
    assert len(report.refused) == 1
    current = refusing.waldur.resource(resource)["current_usages"]
    assert {name: Decimal(str(value)) for name, value in current.items()} == {
        "cpu": 8,
        "mem": 1,
        "gres/gpu": 0,
    }


def test_a_component_over_its_limit_from_the_start(refusing: World) -> None:
    """Waldur has nothing of it then, and it is left out."""
    resource = refusing.allocated()
    refusing.slurm.add_job(
        refusing.backend_id(resource), "alice", MARCH, HOUR, {"cpu": 4, "mem": 40001 * 1024}
    )
    refusing.report_usage()
    assert set(refusing.waldur.usages(resource)) == {
        ("cpu", "2025-03-01"),
        ("gres/gpu", "2025-03-01"),
    }


def test_a_resource_that_waldur_refuses_as_a_whole(world: World) -> None:
    """One whose state has changed meanwhile is one warning, and nothing of it is posted."""
    first, second = world.allocated("First"), world.allocated("Second")
    for resource in (first, second):
        job(world, resource)
    (measurement,) = world.collect()
    world.waldur.faults.add(kind="status", status=400, method="POST", path="set_usage/", times=4)
    report = usage.push(world.control, measurement)
    assert len(report.refused) == 1
    assert sorted(bool(world.waldur.usages(r)) for r in (first, second)) == [False, True]


@pytest.mark.parametrize("state", ["Updating", "Terminating"])
def test_states_in_which_waldur_takes_usage(world: World, state: str) -> None:
    """Resources that are changing, or on their way out, are reported."""
    resource = world.allocated()
    job(world, resource)
    world.waldur.set_resource(resource, state=state)
    world.report_usage()
    assert world.waldur.usages(resource)["cpu", "2025-03-01"] == Decimal("4.00")
    assert world.resource_state(resource) == state


def test_an_erred_resource_is_told_and_made_up_for(world: World) -> None:
    """Waldur takes nothing for it; once it is mended, the month is whole again."""
    resource = world.allocated()
    job(world, resource)
    world.waldur.set_resource(resource, state="Erred")
    with capture_logs() as logs:
        world.report_usage()
    assert world.waldur.usages(resource) == {}
    assert [e["account"] for e in events(logs, "usage_not_accepted")] == [
        world.backend_id(resource)
    ]
    world.waldur.set_resource(resource, state="OK")
    world.report_usage()
    assert world.waldur.usages(resource)["cpu", "2025-03-01"] == Decimal("4.00")


@pytest.mark.parametrize(
    "moment", [datetime(2025, 3, 31, 23, 59, tzinfo=UTC), datetime(2025, 4, 1, 0, 1, tzinfo=UTC)]
)
def test_the_turn_of_the_month_on_older_servers(
    old: World, march: time_machine.Traveller, moment: datetime
) -> None:
    """Its clock may be another, so that close to the turn nothing is posted to either month."""
    resource = old.allocated()
    job(old, resource)
    job(old, resource, start=datetime(2025, 4, 1, tzinfo=UTC), hours=0.01)
    march.move_to(moment)
    old.report_usage()
    assert old.waldur.usages(resource) == {}
    march.move_to(datetime(2025, 4, 1, 0, 3, tzinfo=UTC))
    old.report_usage()
    assert {period for _, period in old.waldur.usages(resource)} == {"2025-04-01"}
    assert old.waldur.usages(resource)["cpu", "2025-04-01"] == Decimal("0.04")


def test_local_midnight_on_older_servers(old: World, march: time_machine.Traveller) -> None:
    """Until UTC's midnight they book to the old month, which is over in the billing zone."""
    old.configure(zone=TALLINN)
    resource = old.allocated()
    job(old, resource, start=datetime(2025, 3, 31, 20, tzinfo=UTC), hours=2)  # 21:00 is midnight
    march.move_to(datetime(2025, 3, 31, 22, 30, tzinfo=UTC))
    old.report_usage()
    assert old.waldur.usages(resource)["cpu", "2025-03-01"] == Decimal("4.00")
    march.move_to(datetime(2025, 4, 1, 0, 30, tzinfo=UTC))
    old.report_usage()
    assert old.waldur.usages(resource)["cpu", "2025-04-01"] == Decimal("4.00")


def test_users_parts_are_kept_as_well(world: World) -> None:
    """Where the greater total is kept, so is each user's part."""
    resource = shrunk(world)
    world.report_usage()
    assert world.waldur.user_usages(resource)["cpu", "2025-03-01", "alice"] == Decimal("8.00")
    assert world.posts() == []


def test_users_who_are_gone_keep_their_part(world: World) -> None:
    """Somebody who has left the allocation has used what was used."""
    resource = world.allocated()
    job(world, resource, "bob")
    world.report_usage()
    world.leave("bob")
    world.sync_members()
    job(world, resource, "alice")
    world.report_usage()
    assert world.waldur.usages(resource)["cpu", "2025-03-01"] == Decimal("8.00")
    assert world.waldur.user_usages(resource)["cpu", "2025-03-01", "bob"] == Decimal("4.00")


def test_earlier_parts_of_somebody_who_was_renamed(
    world: World, march: time_machine.Traveller
) -> None:
    """What was used under the former name stays that person's, in a new month, too."""
    resource = world.allocated()
    job(world, resource, "alice")
    world.report_usage()
    march.move_to(datetime(2025, 4, 5, tzinfo=UTC))
    job(world, resource, "alice", start=datetime(2025, 4, 2, tzinfo=UTC))
    world.waldur.set_username(world.waldur.user("alice"), "alicia")
    (report,) = world.report_usage()
    owners = {
        (share.component_usage.billing_period.month, share.username): share.offering_user
        for share in world.waldur._db.user_usages.values()
    }
    assert {key: owner and owner.user.username for key, owner in owners.items()} == {
        (3, "alice"): "alice",
        (4, "alice"): "alice",
    }
    assert report.strangers == {}


def test_users_unknown_to_waldur(world: World) -> None:
    """Their usage is in the total, and they are listed."""
    resource = world.allocated()
    account = world.backend_id(resource)
    where = ("--immediate", "add", "user", "name=svc", f"account={account}", "cluster=lab")
    world.slurmctl("sacctmgr", *where)
    job(world, resource, "svc")
    job(world, resource, "alice")
    (report,) = world.report_usage()
    assert world.waldur.usages(resource)["cpu", "2025-03-01"] == Decimal("8.00")
    assert report.strangers == {account: ["svc"]}


def test_a_month_that_was_purged_is_refused(new: World) -> None:
    """It is named, Waldur keeps what it has, and the other month is reported."""
    resource = new.allocated()
    job(new, resource, start=FEBRUARY)
    new.report_usage()
    new.slurm.purge_jobs("0 months", datetime(2025, 3, 1, tzinfo=UTC))
    job(new, resource)
    with capture_logs() as logs:
        (report,) = new.report_usage()
    assert report.purged == ["2025-02"]
    assert [entry["month"] for entry in events(logs, "usage_purged")] == ["2025-02"]
    assert new.waldur.usages(resource)["cpu", "2025-02-01"] == Decimal("4.00")
    assert new.waldur.usages(resource)["cpu", "2025-03-01"] == Decimal("4.00")


def test_a_past_month_of_which_nothing_is_left(new: World) -> None:
    """It isn't zeroed even where usage may fall: the cluster has lost it."""
    new.configure(keep_greater=False)
    resource = new.allocated()
    job(new, resource, start=FEBRUARY)
    new.report_usage()
    with new.slurm._connected() as connection:
        connection.execute("DELETE FROM job")
    (report,) = new.report_usage()
    assert report.purged == ["2025-02"]
    assert new.waldur.usages(resource)["cpu", "2025-02-01"] == Decimal("4.00")


def test_a_limit_that_was_taken_away_on_the_cluster(world: World) -> None:
    """Waldur has no word for unlimited: its limit stays, and the difference is told."""
    resource = world.allocated()
    where = ("--immediate", "modify", "account", "where", f"name={world.backend_id(resource)}")
    world.slurmctl("sacctmgr", *where, "cluster=lab", "set", "GrpTRESMins=cpu=-1")
    (report,) = world.report_usage()
    assert report.unlimited == [
        f"{world.backend_id(resource)}: Waldur has cpu=100, the cluster sets no limit"
    ]
    assert world.waldur.resource(resource)["limits"]["cpu"] == 100


def test_a_limit_of_zero_is_no_unlimited_one(world: World) -> None:
    """Nothing may be used, on both sides."""
    order = world.order(limits={"cpu": 0, "gres/gpu": 5})
    world.carry_out(order)
    (report,) = world.report_usage()
    assert world.account(world.resource_of(order)).limits["cpu"] == 0
    assert (report.unlimited, report.limits) == ([], [])


def report_month(world: World, text: str) -> list[usage.PushReport]:
    """Report a month that was asked for."""
    request = usage.request(world.control, (month(text, world.control.zone),))
    return [usage.push(world.control, part) for part in collect(request, world.node.cluster)]


def test_months_that_are_made_up_for(new: World) -> None:
    """Each is booked to itself; what is there is not posted again."""
    resource = new.allocated()
    for number in (1, 2, 3):
        job(new, resource, start=datetime(2025, number, 5, tzinfo=UTC), hours=number)
    for text in ("2025-01", "2025-02"):
        report_month(new, text)
    found = {
        period: value
        for (kind, period), value in new.waldur.usages(resource).items()
        if kind == "cpu"
    }
    assert found == {"2025-01-01": Decimal("4.00"), "2025-02-01": Decimal("8.00")}
    new.forget()
    report_month(new, "2025-01")
    assert sent(new, "set_usage") == []


def test_months_that_an_older_server_can_not_take(old: World) -> None:
    """They are refused with the reason, before anything is measured."""
    old.allocated()
    old.forget()
    with pytest.raises(PermanentError, match="books each report to the month that it is"):
        report_month(old, "2025-02")
    assert old.slurm.commands() == []


def test_months_that_have_not_begun(world: World) -> None:
    """There is nothing to report of them."""
    with pytest.raises(PermanentError, match="2025-04 has not begun yet"):
        report_month(world, "2025-04")
