"""Limits on submitted jobs: closed, and opened again as they were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_tasks.model.submission import CLOSED, KEPT, OPEN, JobLimit, Submission

jobs = st.none() | st.integers(0, KEPT - 1)
limits = st.builds(JobLimit, jobs)
site_limits = st.builds(JobLimit, st.none() | st.integers(1, KEPT - 1))


@given(site_limits, limits)
def test_what_a_site_had_set_comes_back(together: JobLimit, each: JobLimit) -> None:
    """Whatever the numbers; closing twice remembers the same."""
    before = Submission(together, each)

    closed = before.close()

    assert closed.is_closed
    assert closed.close() == closed
    assert closed.open() == before
    assert not before.lost_by_closing()


def test_nothing_is_remembered_of_nothing() -> None:
    """An association without limits looks the same as ever."""
    assert OPEN.close() == CLOSED
    assert CLOSED.open() == OPEN


def test_a_limit_that_was_changed_meanwhile_is_the_one_that_is_remembered() -> None:
    """An administrator opened a closed association with another limit, or without any."""
    closed = Submission(JobLimit(50)).close()

    for now, then in ((JobLimit(30, KEPT + 50), 30), (JobLimit(None, KEPT + 50), None)):
        assert Submission(now, closed.each).close().open().together == JobLimit(then)


def test_a_limit_of_an_association_that_was_half_opened_is_not_forgotten() -> None:
    """An administrator has raised only the one."""
    closed = Submission(JobLimit(50), JobLimit(7)).close()

    again = Submission(JobLimit(30, closed.together.accrue), closed.each).close()

    assert again.open() == Submission(JobLimit(30), JobLimit(7))


@pytest.mark.parametrize(
    ("before", "lost"),
    [
        (Submission(JobLimit(50, 3), JobLimit(7, 4)), ("GrpSubmitJobs=50", "MaxSubmitJobs=7")),
        (Submission(JobLimit(50, 3), JobLimit(7)), ("GrpSubmitJobs=50",)),
        (Submission(JobLimit(0, 3), JobLimit(7, 4)), ("MaxSubmitJobs=7",)),
        (Submission(JobLimit(None, 3), JobLimit(0, 4)), ()),
    ],
)
def test_a_field_that_a_site_uses_is_left_alone(before: Submission, lost: tuple[str, ...]) -> None:
    """Then the limit can't be remembered, and is named."""
    closed = before.close()

    assert before.lost_by_closing() == lost
    assert (closed.together.accrue, closed.open().together.accrue) == (3, 3)


def test_only_both_limits_close_an_association() -> None:
    """Either may be overridden by a QoS."""
    assert not Submission(JobLimit(0)).is_closed
    assert not Submission(JobLimit(), JobLimit(0)).is_blocked
    assert Submission(JobLimit(0)).is_blocked
