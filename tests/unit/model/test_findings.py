"""Findings: what a check saw."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from slurm_tasks.model.findings import Finding, Verdict, failed, ok, warning


@pytest.mark.parametrize(
    ("say", "verdict"), [(ok, Verdict.OK), (warning, Verdict.WARNING), (failed, Verdict.FAILED)]
)
def test_a_finding_says_what_was_looked_at_and_how_it_is(
    say: Callable[[str, str], Finding], verdict: Verdict
) -> None:
    """What to do stands in its message."""
    assert say("the clock", "it is late") == Finding(
        what="the clock", verdict=verdict, message="it is late"
    )
