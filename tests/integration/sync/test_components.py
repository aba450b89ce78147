"""Components: the TRES configuration becomes the offering's, and what it doesn't name stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from slurm_tasks.demo.waldur import Component
from slurm_tasks.demo.waldur.values import Generation
from slurm_tasks.model import components as tres_components
from tests.support.world import CONFIGURATION, OFFERED, World


def offered(world: World) -> dict[str, Any]:
    """Return what the offering has, by type."""
    return {row.type: row for row in world.control.waldur.offering().components}


@pytest.fixture(params=["a", "b"])
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A world whose offering has only a component that isn't ours, and one of another label."""
    with World.started(cast("Generation", request.param), tmp_path) as world:
        world.waldur._db.components.clear()
        for spec in (Component("tape", "Tape", "TB"), Component("cpu", "Old", "CPU-minutes")):
            kept = OFFERED[0].type if spec.type == "cpu" else "tape"
            world.control.waldur.create_component(
                {"type": kept, "name": spec.name, "billing_type": "usage", "measured_unit": "x"}
            )
        world.forget()
        yield world


def test_created(bare: World) -> None:
    """What the offering lacks is made, as it is configured."""
    assert bare.load_components().created == ["mem", "gres/gpu"]
    memory = offered(bare)["mem"]
    assert (memory.name, memory.measured_unit, memory.billing_type) == ("RAM", "GB-hours", "usage")
    assert memory.limit_amount == 40000


def test_updated(bare: World) -> None:
    """What differs is changed, in place."""
    uuid = offered(bare)["cpu"].uuid
    assert bare.load_components().updated == ["cpu"]
    cpu = offered(bare)["cpu"]
    assert (cpu.uuid, cpu.name, cpu.billing_type) == (uuid, "CPU", "limit")


def test_left_alone(bare: World) -> None:
    """What the configuration doesn't name stays as it is."""
    before = offered(bare)["tape"]
    assert bare.load_components().other == ["tape"]
    assert offered(bare)["tape"] == before


def test_unchanged(world: World) -> None:
    """An offering that is as configured costs one read and no write."""
    world.forget()
    assert world.load_components().unchanged == ["cpu", "mem", "gres/gpu"]
    assert (len(world.waldur.requests), world.posts()) == (1, [])


def test_one_post_for_each(bare: World) -> None:
    """No type is created twice: a server answers that with 500."""
    for _ in range(2):
        bare.load_components()
    assert [request.status for request in bare.posts()] in ([201, 201, 200], [200, 201, 201])


def test_limit_that_is_not_enforced(world: World) -> None:
    """With `enforce_limit: false` Waldur gets no limit to refuse usage by."""
    text = CONFIGURATION.replace("unit_factor: 61440", "unit_factor: 61440, enforce_limit: false")
    world.configure(components=tres_components.parse(text, "the test's configuration"))
    world.load_components()
    assert offered(world)["mem"].limit_amount is None
