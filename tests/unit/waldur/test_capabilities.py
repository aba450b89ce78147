"""What a server of each age can do, in one table."""

from __future__ import annotations

import pytest

from slurm_tasks.waldur.capabilities import (
    ROUTES,
    Dates,
    Generation,
    Version,
    of_server,
    parse_version,
)

B = Generation.B


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("8.0.5", (8, 0, 5)),
        ("v7.9.3-rc.1", (7, 9, 3)),
        ("unknown", ()),
        ("develop", ()),
        (None, ()),
    ],
)
def test_versions_are_read(text: str | None, version: Version) -> None:
    """Only a release tells an age; a branch's name doesn't."""
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("version", "providers", "staffs"),
    [
        ((), Dates.NONE, Dates.NONE),
        ((7, 8, 9), Dates.NONE, Dates.NONE),
        ((7, 9, 0), Dates.NONE, Dates.ALL),
        ((7, 9, 2), Dates.NONE, Dates.ALL),
        ((7, 9, 3), Dates.LIMITS, Dates.ALL),
        ((8, 1, 3), Dates.LIMITS, Dates.ALL),
    ],
)
def test_dates(version: Version, providers: Dates, staffs: Dates) -> None:
    """A report's date is ignored, then staff's alone, then a provider's in part."""
    assert of_server(B, version).dates is providers
    assert of_server(B, version, staff=True).dates is staffs


def test_an_older_server_ignores_dates_whoever_asks() -> None:
    """October 2024 knows none, and counts months in UTC."""
    found = of_server(Generation.A, (7, 1, 0), staff=True)
    assert (found.dates, found.zoned_months, found.keeps_allocation) == (Dates.NONE, False, True)
    assert not found.resources_by_time


def test_limit_amounts() -> None:
    """What is replaced counts, too, for some periods on older servers, for all on newer ones."""
    older = of_server(Generation.A)
    assert older.counts_replaced == {"annual", "total"}
    assert not older.null_period_is_month
    newer = of_server(B, (8, 1, 1))
    assert "month" in newer.counts_replaced
    assert newer.null_period_is_month
    assert newer.refuses_over_limit_amount
    assert not of_server(B, (8, 1, 2)).refuses_over_limit_amount


def test_users_parts() -> None:
    """They are booked by their date from 7.9.0 on, and taken together from 8.0.5 on."""
    found = [of_server(B, version) for version in ((7, 8, 9), (7, 9, 0), (8, 0, 4), (8, 0, 5))]
    assert [one.parts_by_date for one in found] == [False, True, True, True]
    assert [one.bulk_parts for one in found] == [False, False, False, True]


def test_every_age_that_differs_has_a_route() -> None:
    """What the version decides must be found without the right to read it."""
    versions = [version for version, _ in ROUTES]
    assert versions == sorted(versions)
    assert {(7, 7, 5), (7, 9, 0), (7, 9, 3), (8, 0, 5)} <= set(versions)


@pytest.mark.parametrize(
    ("version", "exact", "name"),
    [
        ((8, 0, 5), True, "Waldur 8.0.5"),
        ((8, 0, 5), False, "Waldur 8.0.5 or newer"),
        ((), False, "a Waldur of 2025, older than 7.7.5"),
    ],
)
def test_its_name(version: Version, exact: bool, name: str) -> None:
    """People read how old it is, and how sure that is."""
    assert of_server(B, version, exact=exact).name == name
