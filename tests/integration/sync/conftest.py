"""A world with each server of Waldur, and a time at which a month has a middle."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine

from slurm_tasks.demo.waldur.versions import NEWEST, OLDEST
from tests.support.servers import EACH
from tests.support.world import World


@pytest.fixture
def march() -> Iterator[time_machine.Traveller]:
    """The clock of both sides and both simulators: it is the middle of March."""
    with time_machine.travel(datetime(2025, 3, 15, 12, tzinfo=UTC)) as traveller:
        yield traveller


@pytest.fixture(params=[*EACH, OLDEST, NEWEST])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A world with each server."""
    with World.started(request.param, tmp_path) as started:
        yield started


@pytest.fixture(params=[*EACH, OLDEST])
def refusing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A world with each server that refuses usage above a component's limit (before 8.1.2)."""
    with World.started(request.param, tmp_path) as started:
        yield started


@pytest.fixture(params=[*EACH, NEWEST])
def restoring(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A world with each server on which a terminated allocation can be ordered back."""
    with World.started(request.param, tmp_path) as started:
        yield started


@pytest.fixture
def old(tmp_path: Path) -> Iterator[World]:
    """A world with a Waldur of GEN-A."""
    with World.started("a", tmp_path) as started:
        yield started


@pytest.fixture
def new(tmp_path: Path) -> Iterator[World]:
    """A world with a Waldur of GEN-B."""
    with World.started("b", tmp_path) as started:
        yield started
