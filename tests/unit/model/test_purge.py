"""From when on slurmdbd keeps all job records."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import pytest

from slurm_tasks.model.purge import Purge

pytestmark = pytest.mark.usefixtures("zone")

NOW = datetime(2026, 11, 24, 16, 8, 30, 500_000, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["UTC"], indirect=True)
@pytest.mark.parametrize(
    ("after", "unit", "expected"),
    [
        (12, "months", "2025-11-01T00:00:00"),
        (11, "months", "2025-12-01T00:00:00"),
        (10, "months", "2026-01-01T00:00:00"),
        (1, "months", "2026-10-01T00:00:00"),
        (0, "months", "2026-11-01T00:00:00"),
        (30, "days", "2026-10-25T00:00:00"),
        (24, "hours", "2026-11-23T16:00:00"),
    ],
)
def test_slurmdbd_cuts_at_the_start_of_a_unit(
    after: int, unit: Literal["hours", "days", "months"], expected: str
) -> None:
    """As measured on 22.05, 24.11 and 26.05."""
    assert Purge(after, unit).cutoff(NOW) == datetime.fromisoformat(f"{expected}+00:00")


@pytest.mark.parametrize("zone", ["Europe/Tallinn"], indirect=True)
@pytest.mark.parametrize(
    ("after", "expected"), [(0, "2026-10-31T22:00:00"), (2, "2026-08-31T21:00:00")]
)
def test_the_start_is_that_of_local_time(after: int, expected: str) -> None:
    """Daylight saving time of back then included."""
    cutoff = Purge(after, "months").cutoff(NOW)

    assert cutoff == datetime.fromisoformat(f"{expected}+00:00")
