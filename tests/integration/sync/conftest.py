"""A world of each generation, and a time at which a month has a middle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from slurm_tasks.demo.waldur.values import Generation
from tests.support.world import World


@pytest.fixture(params=["a", "b"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A world of each generation."""
    with World.started(cast("Generation", request.param), tmp_path) as started:
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
