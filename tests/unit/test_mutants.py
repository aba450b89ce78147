"""The sum of `make mutants`."""

from __future__ import annotations

import pytest

from tests.mutants import summary


def ended(**counts: int) -> list[str]:
    """Make mutmut's results: so many mutants of one module for each end."""
    ends = [end.replace("_", " ") for end, count in counts.items() for _ in range(count)]
    return [f"    slurm_tasks.model.names.x_slug__mutmut_{n}: {e}\n" for n, e in enumerate(ends)]


@pytest.mark.parametrize(
    ("ends", "good"),
    [
        ({"killed": 85, "survived": 14, "timeout": 1}, True),
        ({"killed": 85, "survived": 15}, False),
        ({"killed": 85, "no_tests": 5, "suspicious": 5, "segfault": 5}, False),
        ({"killed": 99, "not_checked": 1}, False),
        ({}, False),
    ],
)
def test_fifteen_percent_of_survivors_are_too_many(ends: dict[str, int], good: bool) -> None:
    """One that no test reaches is a survivor; one that didn't run is no success, nor is none."""
    assert summary(ended(**ends))[1] is good


def test_the_table_sums_up_modules() -> None:
    """All together come last."""
    lines = ["    slurm_tasks.model.tres.x_parse__mutmut_1: timeout\n"]

    table, _ = summary([*ended(killed=3, survived=1), *lines])

    assert [" ".join(line.split()) for line in table.splitlines()] == [
        "mutants not run killed timeout survived",
        "slurm_tasks.model.names 4 0 3 0 1 25.0 %",
        "slurm_tasks.model.tres 1 0 0 1 0 0.0 %",
        "all 5 0 3 1 1 20.0 %",
    ]
