"""Months that are over for Waldur, or about to be: what each kind of server takes of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from structlog.testing import capture_logs

from slurm_tasks.demo.waldur import Role
from slurm_tasks.errors import PermanentError, WaldurError
from slurm_tasks.model.usage import month
from slurm_tasks.sync import months, usage
from slurm_tasks.sync.collect import collect
from tests.integration.sync.test_usage import FEBRUARY, events, job, sent
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("march")

TALLINN = ZoneInfo("Europe/Tallinn")
UNDATED = ("a", "7.6.7", "7.8.9", "7.9.0", "7.9.2")
"""Servers that book each report of a provider's to the month that it is."""
DATED = ("7.9.3", "8.0.5", "8.1.3")
"""Those that take limit-based components of past months from a provider."""
KINDS = ("cpu", "gres/gpu", "mem")


@pytest.fixture
def undated(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A world with a server that knows no dates, or takes none of a provider's."""
    with World.started(request.param, tmp_path) as started:
        yield started


@pytest.fixture
def dated(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A world with a server that takes some dates."""
    with World.started(request.param, tmp_path) as started:
        yield started


each_undated = pytest.mark.parametrize("undated", UNDATED, indirect=True)
each_dated = pytest.mark.parametrize("dated", DATED, indirect=True)
newest = pytest.mark.parametrize("dated", ["8.1.1"], indirect=True)


def booked(world: World, resource: str) -> dict[tuple[str, str], Decimal]:
    """Return what Waldur has of a resource, zeros left out."""
    return {key: value for key, value in world.waldur.usages(resource).items() if value}


def bodies(world: World, action: str) -> list[dict[str, Any]]:
    """Return what was posted to an action, since `forget`."""
    return [body for body in sent(world, action) if isinstance(body, dict)]


@each_undated
def test_nothing_of_a_past_month_is_booked_to_this_one(undated: World) -> None:
    """What the server would book to March is not sent, and no report carries a date."""
    resource = undated.allocated()
    job(undated, resource, start=FEBRUARY)
    job(undated, resource, hours=2)
    (report,) = undated.report_usage()
    assert booked(undated, resource) == {
        ("cpu", "2025-03-01"): Decimal(8),
        ("mem", "2025-03-01"): Decimal(2),
    }
    assert all("date" not in body for body in bodies(undated, "set_usage"))
    assert report.refused == []
    assert [post.status for post in undated.posts() if post.status >= 400] == []


@each_dated
def test_limit_based_components_of_a_past_month(dated: World) -> None:
    """They are posted with a date in it; usage-based ones, which would be refused, are told."""
    resource = dated.allocated()
    job(dated, resource, start=FEBRUARY)
    job(dated, resource, hours=2)
    dated.forget()
    (report,) = dated.report_usage()
    assert booked(dated, resource) == {
        ("cpu", "2025-02-01"): Decimal(4),
        ("cpu", "2025-03-01"): Decimal(8),
        ("mem", "2025-03-01"): Decimal(2),
    }
    dates = [body.get("date") for body in bodies(dated, "set_usage")]
    assert dates == ["2025-02-28T09:00:00Z", None]
    (missed,) = report.missed
    assert missed.startswith(f"{dated.backend_id(resource)} 2025-02 mem: the cluster says 1.00")
    assert [post.status for post in dated.posts() if post.status >= 400] == []


@each_undated
def test_what_is_missed_is_told_once_in_numbers(undated: World) -> None:
    """The log hears of it once, with what helps; nothing is refused again and again."""
    first, second = undated.allocated("First"), undated.allocated("Second")
    for resource in (first, second):
        job(undated, resource, start=FEBRUARY)
    with capture_logs() as logs:
        reports = [undated.report_usage()[0] for _ in range(3)]
    (told,) = events(logs, "usage_missed")
    assert told["month"] == "2025-02"
    assert told["lacking"] == {"cpu": "8.00", "mem": "2.00"}
    assert sorted(told["accounts"]) == sorted(map(undated.backend_id, (first, second)))
    assert "usage show --month 2025-02" in told["advice"]
    assert [len(report.missed) for report in reports] == [4, 4, 4]
    assert not events(logs, "usage_refused")


@pytest.mark.parametrize("dated", ["7.9.0", *DATED], indirect=True)
def test_staff_may_date_everything(dated: World) -> None:
    """Its token makes up for a month that is over, whole."""
    resource = dated.allocated()
    dated.act_as(Role.STAFF)
    job(dated, resource, start=FEBRUARY)
    (report,) = dated.report_usage()
    assert booked(dated, resource) == {
        ("cpu", "2025-02-01"): Decimal(4),
        ("mem", "2025-02-01"): Decimal(1),
    }
    assert dated.waldur.user_usages(resource)["cpu", "2025-02-01", "alice"] == Decimal(4)
    assert report.missed == []


@each_dated
def test_an_offering_manager_may_date_nothing(dated: World) -> None:
    """One refused request teaches that; this month is reported all the same, users' parts too."""
    resource = dated.allocated()
    dated.act_as(Role.MANAGER)
    job(dated, resource, start=FEBRUARY)
    job(dated, resource, hours=2)
    with capture_logs() as logs:
        reports = [dated.report_usage()[0] for _ in range(2)]
    assert booked(dated, resource) == {
        ("cpu", "2025-03-01"): Decimal(8),
        ("mem", "2025-03-01"): Decimal(2),
    }
    assert dated.waldur.user_usages(resource)["cpu", "2025-03-01", "alice"] == Decimal(8)
    assert [report.refused for report in reports] == [[], []]
    assert len(events(logs, "waldur_differs")) == 1
    refusals = [r for r in dated.waldur.requests if r.method == "POST" and r.status == 400]
    assert len(refusals) == 1


@pytest.mark.parametrize("dated", ["7.9.0", *DATED], indirect=True)
def test_users_parts_are_of_the_month_of_their_total(dated: World) -> None:
    """They carry a date in it where the server takes that: without one they are this month's."""
    resource = dated.allocated()
    job(dated, resource, start=FEBRUARY)
    job(dated, resource, "bob")
    dated.report_usage()
    found = dated.waldur.user_usages(resource)
    older = dated.waldur.version == "7.9.0"
    assert found["cpu", "2025-03-01", "bob"] == Decimal(4)
    assert (("cpu", "2025-02-01", "alice") in found) is not older
    assert not [key for key in found if key[1:] == ("2025-03-01", "alice")]
    dates = {part.get("date") for part in _parts_sent(dated)}
    assert dates == ({None} if older else {"2025-02-01T12:00:00Z", "2025-03-01T12:00:00Z"})


def _parts_sent(world: World) -> list[dict[str, Any]]:
    bulk = [row for body in bodies(world, "set_user_usages") for row in body["usages"]]
    return [*bulk, *bodies(world, "set_user_usage")]


@pytest.mark.parametrize("undated", ["a", "7.6.7", "7.9.3", "8.0.4"], indirect=True)
def test_users_parts_one_by_one(undated: World) -> None:
    """Before 8.0.5 there is no way to post them together, and none is tried."""
    resource = undated.allocated()
    job(undated, resource)
    job(undated, resource, "bob")
    undated.report_usage()
    assert undated.waldur.user_usages(resource)["cpu", "2025-03-01", "bob"] == Decimal(4)
    assert bodies(undated, "set_user_usages") == []
    assert len(bodies(undated, "set_user_usage")) == 4


@each_undated
def test_an_idle_allocation_in_a_new_month(undated: World, march: time_machine.Traveller) -> None:
    """It gets zeros once, so that Waldur's page doesn't go on with last month's usage."""
    resource = undated.allocated()
    job(undated, resource)
    undated.report_usage()
    march.move_to(datetime(2025, 4, 2, tzinfo=UTC))
    undated.report_usage()
    shown = undated.waldur.resource(resource)["current_usages"]
    assert {Decimal(str(value)) for value in shown.values()} == {Decimal(0)}
    undated.forget()
    undated.report_usage()
    assert sent(undated, "set_usage") == []


@each_dated
def test_what_waldur_shows_after_a_past_month_was_reported(dated: World) -> None:
    """Each report replaces what its page shows; this month's comes back with the next."""
    resource = dated.allocated()
    job(dated, resource)
    dated.report_usage()
    job(dated, resource, start=FEBRUARY, hours=3)
    for _ in range(2):
        dated.report_usage()
    shown = dated.waldur.resource(resource)["current_usages"]
    assert Decimal(str(shown["cpu"])) == Decimal(4)
    dated.forget()
    dated.report_usage()
    assert sent(dated, "set_usage") == []


def report_month(world: World, text: str) -> list[usage.PushReport]:
    """Report a month that was asked for."""
    asked = usage.request(world.control, (month(text, world.control.zone),))
    return [usage.push(world.control, part) for part in collect(asked, world.node.cluster)]


@pytest.mark.parametrize(
    ("undated", "advice"),
    [
        ("a", "correct the invoice by hand"),
        ("7.8.9", "correct the invoice by hand"),
        ("7.9.0", "a member of Waldur's staff"),
    ],
    indirect=["undated"],
)
def test_a_past_month_that_is_asked_for(undated: World, advice: str) -> None:
    """It is refused with what helps, before anything is measured; it can still be looked at."""
    undated.allocated()
    undated.forget()
    with pytest.raises(PermanentError, match=advice):
        report_month(undated, "2025-01")
    assert undated.slurm.commands() == []
    january = month("2025-01", undated.control.zone)
    asked = usage.request(undated.control, (january,), dry_run=True)
    assert asked.periods == (january,)


@pytest.mark.parametrize("undated", ["7.7.5", "7.9.2"], indirect=True)
@pytest.mark.parametrize("known", [True, False])
def test_a_server_in_another_time_zone(
    undated: World, march: time_machine.Traveller, known: bool
) -> None:
    """Nothing of March is booked to April, though UTC and the server don't agree on the month."""
    undated.waldur.switches.time_zone = "Europe/Tallinn"
    undated.configure(zone_known=known, zone=TALLINN if known else undated.control.zone)
    resource = undated.allocated()
    job(undated, resource)
    undated.report_usage()
    job(undated, resource, hours=2)
    march.move_to(datetime(2025, 3, 31, 22, 30, tzinfo=UTC))  # 1 April, 1:30 in Tallinn
    undated.report_usage()
    assert {period for _, period in undated.waldur.usages(resource)} == {"2025-03-01"}
    march.move_to(datetime(2025, 4, 1, 12, 30, tzinfo=UTC))
    undated.report_usage()
    assert booked(undated, resource) == {
        ("cpu", "2025-03-01"): Decimal(4),
        ("mem", "2025-03-01"): Decimal(1),
    }


@pytest.mark.parametrize("zone", ["UTC", "Europe/Tallinn", "America/New_York", "Pacific/Apia"])
@newest
def test_the_turn_for_a_server_in_any_time_zone(
    dated: World, march: time_machine.Traveller, zone: str
) -> None:
    """Its zone isn't known: hour by hour over the turn, nothing goes to the wrong month."""
    dated.waldur.switches.time_zone = zone
    dated.configure(zone_known=False)
    resource = dated.allocated()
    job(dated, resource)
    dated.report_usage()
    for hour in range(6, 44, 2):
        moment = datetime(2025, 3, 31 if hour < 24 else 1, hour % 24, 30, tzinfo=UTC)
        march.move_to(moment if hour < 24 else moment.replace(month=4))
        if hour == 26:
            job(dated, resource, hours=0.25, start=datetime(2025, 4, 1, tzinfo=UTC))
        dated.report_usage()
        found = booked(dated, resource)
        assert found["cpu", "2025-03-01"] == Decimal(4)
        assert found.get(("cpu", "2025-04-01"), Decimal(1)) == Decimal(1)
    assert booked(dated, resource)["cpu", "2025-04-01"] == Decimal(1)


@newest
def test_the_last_minutes_of_a_month(dated: World, march: time_machine.Traveller) -> None:
    """Until it has turned the whole month is taken, dated; afterwards limit-based parts alone."""
    resource = dated.allocated()
    for minute, hours in ((58, 1), (59, 2)):
        march.move_to(datetime(2025, 3, 31, 23, minute, 30, tzinfo=UTC))
        job(dated, resource, hours=hours)
        dated.report_usage()
    assert booked(dated, resource)["mem", "2025-03-01"] == Decimal(3)
    job(dated, resource, hours=4)
    march.move_to(datetime(2025, 4, 1, 0, 1, tzinfo=UTC))
    with capture_logs() as logs:
        (report,) = dated.report_usage()
    found = booked(dated, resource)
    assert (found["mem", "2025-03-01"], found["cpu", "2025-03-01"]) == (Decimal(3), Decimal(28))
    assert [entry["month"] for entry in events(logs, "month_has_turned")] == ["2025-04"]
    assert [line.split(" ")[1:3] for line in report.missed] == [["2025-03", "mem:"]]
    assert {period for _, period in dated.waldur.usages(resource)} == {"2025-03-01", "2025-04-01"}


@pytest.mark.parametrize("undated", ["a", "7.9.2"], indirect=True)
def test_a_waldur_whose_clock_is_behind(undated: World, march: time_machine.Traveller) -> None:
    """April's usage isn't booked to March, which it still is there, and comes once it turned."""
    resource = undated.allocated()
    job(undated, resource, hours=3)
    undated.report_usage()
    march.move_to(datetime(2025, 4, 1, 0, 10, tzinfo=UTC))
    job(undated, resource, hours=0.1, start=datetime(2025, 4, 1, tzinfo=UTC))
    undated.waldur.set_now(datetime(2025, 3, 31, 23, 50, tzinfo=UTC))
    undated.report_usage()
    assert booked(undated, resource)["cpu", "2025-03-01"] == Decimal(12)
    undated.waldur.set_now(datetime(2025, 4, 1, 0, 4, tzinfo=UTC))
    undated.report_usage()
    assert booked(undated, resource)["cpu", "2025-04-01"] == Decimal("0.40")


def terminated_at(
    world: World,
    march: time_machine.Traveller,
    moment: datetime,
    start: datetime = datetime(2025, 3, 31, 20, tzinfo=UTC),
) -> str:
    """Have an allocation used and, at a moment, terminated; return the order's state."""
    resource = world.allocated()
    job(world, resource, start=start, hours=4.1)
    march.move_to(moment)
    order = world.waldur.order_terminate(resource)
    try:
        world.carry_out(order)
    except WaldurError as error:
        assert "when the month has turned" in str(error)  # noqa: PT017 - it may pass
    return world.order_state(order)


@pytest.mark.parametrize(
    ("moment", "state"),
    [
        (datetime(2025, 3, 31, 23, 30, tzinfo=UTC), "done"),
        (datetime(2025, 4, 1, 0, 1, tzinfo=UTC), "executing"),
        (datetime(2025, 4, 1, 0, 10, tzinfo=UTC), "done"),
    ],
)
@each_undated
def test_the_last_usage_of_an_allocation_at_the_turn(
    undated: World, march: time_machine.Traveller, moment: datetime, state: str
) -> None:
    """It waits for the turn rather than being lost, and never for a month that is over."""
    assert terminated_at(undated, march, moment) == state


@each_dated
def test_the_last_usage_where_the_zone_is_not_known(
    dated: World, march: time_machine.Traveller
) -> None:
    """In the first hours of a month it waits until it is that month everywhere."""
    dated.configure(zone_known=False)
    begun = datetime(2025, 4, 1, tzinfo=UTC)
    moment = datetime(2025, 4, 1, 5, tzinfo=UTC)
    assert terminated_at(dated, march, moment, start=begun) == "executing"
    march.move_to(datetime(2025, 4, 1, 12, 30, tzinfo=UTC))
    (result,) = dated.sync_orders().values()
    assert result.startswith("done: ")


@each_dated
def test_a_refusal_tells_that_the_month_has_turned(
    dated: World, march: time_machine.Traveller
) -> None:
    """What is refused for March shows that it is April there, whatever the zone: nothing waits."""
    dated.configure(zone_known=False)
    assert terminated_at(dated, march, datetime(2025, 4, 1, 3, tzinfo=UTC)) == "done"


@pytest.mark.parametrize("server", ["a", "8.1.1"])
@pytest.mark.parametrize(
    ("moment", "closing"),
    [
        (datetime(2025, 3, 31, 20, 51, tzinfo=UTC), True),
        (datetime(2025, 3, 31, 20, 41, tzinfo=UTC), False),
        (datetime(2025, 3, 31, 21, 1, tzinfo=UTC), False),
        (datetime(2025, 3, 31, 23, 56, tzinfo=UTC), True),
        (datetime(2025, 3, 30, 23, 56, tzinfo=UTC), False),
    ],
)
def test_when_a_month_is_about_to_end(
    tmp_path: Path,
    march: time_machine.Traveller,
    server: str,
    moment: datetime,
    closing: bool,
) -> None:
    """Ten minutes before, in the billing time zone as well as in UTC."""
    with World.started(server, tmp_path) as world:
        world.configure(zone=TALLINN)
        march.move_to(moment)
        assert months.is_closing(world.control) is closing
