"""Months of the billing time zone, and adding up what jobs held."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from slurm_tasks.model import usage
from slurm_tasks.model.usage import Period, PeriodUsage, Run, Tally, UserUsage

HOUR = 3600
DAY = 24 * HOUR
ZONES = (
    *("UTC", "Europe/Tallinn", "Europe/London", "America/New_York", "America/Havana"),
    *("America/Asuncion", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia"),
    *("Pacific/Kiritimati", "Pacific/Pago_Pago", "Africa/Casablanca"),
)
zones = st.sampled_from(ZONES).map(ZoneInfo)
months = st.dates(date(1971, 1, 1), date(2098, 12, 1)).map(lambda day: f"{day:%Y-%m}")


def at(zone: str, *moment: int) -> datetime:
    """Make a local time: year, month, day, hour, minute, second."""
    return datetime(*moment, tzinfo=ZoneInfo(zone))  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("zone", "month", "length"),
    [
        ("UTC", "2026-02", 28 * DAY),
        ("UTC", "2028-02", 29 * DAY),
        ("Europe/Tallinn", "2026-03", 31 * DAY - HOUR),
        ("Europe/Tallinn", "2026-10", 31 * DAY + HOUR),
        ("America/New_York", "2026-11", 30 * DAY + HOUR),
        ("Australia/Lord_Howe", "2026-10", 31 * DAY - HOUR // 2),
        ("Pacific/Apia", "2011-12", 30 * DAY),
    ],
)
def test_a_month_is_as_long_as_its_clocks_say(zone: str, month: str, length: int) -> None:
    """Changes to and from summer time, and a skipped day, shorten or lengthen the month."""
    period = usage.month(month, ZoneInfo(zone))

    assert period.end - period.start == length


@given(months, zones)
@example("2017-09", ZoneInfo("America/Asuncion"))  # 1 October began at one o'clock
@example("2026-10", ZoneInfo("America/Havana"))  # 1 November has midnight twice
def test_months_follow_each_other_without_gap_or_overlap(text: str, zone: ZoneInfo) -> None:
    """In every time zone a month ends where the next begins, and knows the one before."""
    period = usage.month(text, zone)
    following = usage.month_of(datetime.fromtimestamp(period.end, UTC), zone)

    assert following.start == period.end
    assert following.month != period.month
    assert usage.previous(following, zone) == period


@given(months, zones)
def test_a_month_is_half_open(text: str, zone: ZoneInfo) -> None:
    """Its first second belongs to it, the first second of the next month doesn't."""
    period = usage.month(text, zone)

    assert period.contains(datetime.fromtimestamp(period.start, UTC))
    assert period.contains(datetime.fromtimestamp(period.end - 1, UTC))
    assert not period.contains(datetime.fromtimestamp(period.end, UTC))
    assert not period.contains(datetime.fromtimestamp(period.start - 1, UTC))


@given(st.datetimes(datetime(1971, 1, 1), datetime(2098, 1, 1)), zones)  # noqa: DTZ001 - made aware below
def test_every_moment_lies_in_its_month(moment: datetime, zone: ZoneInfo) -> None:
    """The month of a moment contains it, and is the one on the local calendar."""
    aware = moment.replace(tzinfo=UTC)

    period = usage.month_of(aware, zone)

    assert period.contains(aware)
    assert period.month == f"{aware.astimezone(zone):%Y-%m}"


def test_a_month_is_the_billing_time_zones() -> None:
    """The last evening of March in UTC is already April in Tallinn."""
    moment = at("UTC", 2026, 3, 31, 22, 30)

    assert usage.month_of(moment, ZoneInfo("UTC")).month == "2026-03"
    assert usage.month_of(moment, ZoneInfo("Europe/Tallinn")).month == "2026-04"


def test_a_month_east_of_greenwich_begins_in_utcs_month_before() -> None:
    """Its billing day is the first all the same."""
    period = usage.month("2026-04", ZoneInfo("Europe/Tallinn"))

    assert period.start == at("UTC", 2026, 3, 31, 21, 0).timestamp()
    assert period.first_day == date(2026, 4, 1)


def test_the_month_before_january_is_december() -> None:
    """Years don't matter to what comes before."""
    zone = ZoneInfo("Europe/Tallinn")

    assert usage.previous(usage.month("2026-01", zone), zone).month == "2025-12"


@pytest.mark.parametrize("text", ["", "2026", "2026-13", "2026-00", "26-01", "2026-01-01", "now"])
def test_what_is_not_a_month_is_refused(text: str) -> None:
    """Only YYYY-MM names a month."""
    with pytest.raises(ValueError, match=r"month|time data|unconverted"):
        usage.month(text, ZoneInfo("UTC"))


@pytest.mark.parametrize("length", [0, -DAY, DAY, 33 * DAY])
def test_a_period_that_is_not_a_month_long_is_refused(length: int) -> None:
    """A message with a window of another length never reaches sacct."""
    with pytest.raises(ValidationError, match="is not a month"):
        Period(month="2026-04", start=0, end=length)


APRIL = usage.month("2026-04", ZoneInfo("UTC"))


def run(account: str, user: str, elapsed: int, held: str, suspended: int = 0) -> Run:
    """Make a run of a job."""
    return Run("1", account, user, APRIL.start, elapsed, suspended, held)


def tallied(runs: Iterable[Run], *accounts: str, billed: Iterable[str] = ()) -> Tally:
    """Add up runs of accounts."""
    tally = Tally(accounts, frozenset(billed))
    for row in runs:
        tally.add(row)
    tally.settle()
    return tally


def test_usage_is_what_was_held_times_how_long() -> None:
    """Each user's jobs add up to TRES-seconds, in the account whose usage it is."""
    rows = [
        run("a1", "alice", 10, "cpu=4,mem=1000M"),
        run("a1", "alice", 5, "cpu=2"),
        run("a1", "bob", 1, "gres/gpu=2"),
        run("a2", "alice", 100, "cpu=1"),
    ]

    assert tallied(rows, "a1", "a2").sums == {
        "a1": {"alice": {"cpu": 50, "mem": 10000}, "bob": {"gres/gpu": 2}},
        "a2": {"alice": {"cpu": 100}},
    }


def test_a_suspended_job_holds_all_but_its_cpus() -> None:
    """Sreport counts it so; a job that is suspended all the time, too."""
    rows = [
        run("a1", "alice", 10, "cpu=4,mem=1000M,gres/gpu=1", suspended=5),
        run("a1", "bob", 0, "cpu=4,node=1", suspended=5),
    ]

    assert tallied(rows, "a1").sums == {
        "a1": {"alice": {"cpu": 40, "mem": 15000, "gres/gpu": 15}, "bob": {"cpu": 0, "node": 5}}
    }


def test_jobs_that_never_ran_count_nothing() -> None:
    """Pending jobs (no time, or nothing held) don't even name their user."""
    rows = [run("a1", "alice", 0, "cpu=4"), run("a1", "bob", 9, "")]

    assert tallied(rows, "a1").sums == {"a1": {}}


def test_only_what_is_billed_is_added_up() -> None:
    """If that was said; the control side has no use for the rest."""
    rows = [run("a1", "alice", 10, "billing=4,cpu=4,license/matlab@flex=1,node=1")]

    assert tallied(rows, "a1", billed=("cpu", "gres/gpu")).sums == {"a1": {"alice": {"cpu": 40}}}


def test_a_value_that_is_not_understood_and_not_billed_is_left_out() -> None:
    """It is told; the account's usage is known all the same."""
    tally = tallied([run("a1", "alice", 10, "cpu=4,license/x=many")], "a1", billed=("cpu",))

    assert tally.usage(APRIL)["a1"].total() == {"cpu": 40}
    assert (tally.left_out, tally.unread) == ({"license/x=many"}, {})


@pytest.mark.parametrize(
    ("held", "billed"), [("cpu=4,mem=lots", ("mem",)), ("cpu=4,cpu", ("mem",)), ("cpu=4,x=y", ())]
)
def test_a_value_that_may_be_billed_keeps_its_accounts_usage_back(
    held: str, billed: tuple[str, ...]
) -> None:
    """That account's only: it is never zero, and never less than was held."""
    rows = [run(name, "alice", 10, held) for name in ("a1", "a2")] + [run("a3", "bob", 5, "mem=1")]

    tally = tallied(rows, "a1", "a2", "a3", billed=billed)

    assert set(tally.unread) == {"a1", "a2"}
    assert tally.unread["a1"].startswith("what a job of alice held: ")
    assert set(tally.usage(APRIL)) == {"a3"}


def test_jobs_of_many_kinds_are_turned_into_sums_in_between() -> None:
    """What each job held may differ; only so many kinds are kept."""
    tally = Tally(["a1"])
    for memory in range(1000):
        tally.add(run("a1", "alice", 1, f"mem={memory}M"))
        tally.settle(kinds=100)

    assert len(tally.elapsed) <= 100
    assert tally.usage(APRIL)["a1"].total() == {"mem": sum(range(1000))}


def test_doubtful_jobs_are_told_with_their_accounts_usage() -> None:
    """But not thousands of them."""
    tally = Tally(["a1", "a2"])
    for number in range(100):
        tally.doubt("a1", f"job {number}")

    found = tally.usage(APRIL)
    assert found["a1"].doubtful == tuple(f"job {number}" for number in range(Tally.TOLD))
    assert found["a2"].doubtful == ()


@pytest.mark.parametrize(
    ("start", "elapsed", "suspended", "expected"),
    [
        (100, 50, 0, (50, 0)),
        (50, 100, 0, (50, 0)),
        (150, 100, 0, (50, 0)),
        (50, 1000, 0, (100, 0)),
        (100, 60, 40, (60, 40)),
        (100, 0, 40, (0, 40)),
        (90, 10, 0, (0, 0)),
        (200, 10, 5, (0, 0)),
        (30, 50, 20, (0, 0)),
    ],
)
def test_what_lies_in_the_period_counts(
    start: int, elapsed: int, suspended: int, expected: tuple[int, int]
) -> None:
    """A run within 100 to 200, across its start, its end or both, and before or after it."""
    whole = Run("1", "a1", "alice", start, elapsed, suspended, "cpu=1")

    part = whole.part(100, 200)

    assert not whole.is_split(100, 200)
    assert (part.elapsed, part.suspended) == expected


@pytest.mark.parametrize("start", [50, 150])
def test_suspended_runs_across_an_edge_are_split(start: int) -> None:
    """What of it was in the period is told from outside; the rest of the span is suspension."""
    whole = Run("1", "a1", "alice", start, 80, 20, "cpu=1")

    part = whole.part(100, 200, elapsed=42)

    assert whole.is_split(100, 200)
    assert (part.elapsed, part.suspended) == (42, 8)


def test_one_suspended_second_is_enough_to_split_a_run() -> None:
    """On which side of the edge it was isn't known."""
    assert Run("1", "a1", "alice", 99, 1, 1, "cpu=1").is_split(100, 200)


def test_the_total_is_the_sum_over_users() -> None:
    """An account's usage has no key of its own among the users."""
    period = usage.month("2026-04", ZoneInfo("UTC"))
    users = (UserUsage(user="a", tres={"cpu": 1}), UserUsage(user="b", tres={"cpu": 2, "mem": 3}))

    assert PeriodUsage(period=period, users=users).total() == {"cpu": 3, "mem": 3}


def test_a_moment_of_any_time_zone_is_compared_as_a_moment() -> None:
    """Midnight in Tallinn on the 1st lies before UTC's month, though the calendars agree."""
    period = usage.month("2026-04", ZoneInfo("UTC"))
    midnight = at("Europe/Tallinn", 2026, 4, 1)

    assert not period.contains(midnight)
    assert period.contains(midnight + timedelta(hours=3))
