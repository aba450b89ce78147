"""Worlds to break: each server of Waldur, a clock, and a note of every command's effect."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine

from tests.support.effects import watch
from tests.support.servers import EACH
from tests.support.world import World


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """The clock of both sides and both simulators: it is the middle of March."""
    with time_machine.travel(datetime(2025, 3, 15, 12, tzinfo=UTC)) as traveller:
        yield traveller


@pytest.fixture(params=EACH)
def world(
    request: pytest.FixtureRequest,
    clock: time_machine.Traveller,  # noqa: ARG001 - before anything is made
    tmp_path: Path,
) -> Iterator[World]:
    """A world with each server."""
    with World.started(request.param, tmp_path) as started:
        watch(started.slurm)
        yield started
