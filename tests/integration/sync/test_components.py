"""Components: the TRES configuration becomes the offering's, and what it doesn't name stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slurm_tasks.errors import ConfigurationError
from slurm_tasks.model import components as tres_components
from slurm_tasks.model.findings import Verdict
from slurm_tasks.sync import check_components, components
from tests.support.servers import EACH
from tests.support.world import CONFIGURATION, World


def offered(world: World) -> dict[str, Any]:
    """Return what the offering has, by type."""
    return {row.type: row for row in world.control.waldur.offering().components}


@pytest.fixture(params=EACH)
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A world whose offering has only a component that isn't ours, and one of another label."""
    with World.started(request.param, tmp_path) as world:
        world.waldur._db.components.clear()
        for name, label in (("tape", "Tape"), ("cpu", "Old")):
            world.control.waldur.create_component(
                {"type": name, "name": label, "billing_type": "limit", "measured_unit": "x"}
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


def configure(world: World, old: str, new: str) -> None:
    """Edit the TRES configuration."""
    assert old in CONFIGURATION
    text = CONFIGURATION.replace(old, new)
    world.configure(components=tres_components.parse(text, "the test's configuration"))


def set_in_waldur(world: World, name: str, **fields: object) -> None:
    """Change a component as an administrator does in Waldur."""
    row = offered(world)[name]
    world.control.waldur.update_component(
        {
            "uuid": row.uuid,
            "type": name,
            "name": row.name,
            "billing_type": row.billing_type,
            "measured_unit": row.measured_unit,
            **fields,
        }
    )


def test_limit_that_is_not_enforced(world: World) -> None:
    """With `enforce_limit: false` Waldur gets no limit to refuse usage by."""
    configure(world, "unit_factor: 61440", "unit_factor: 61440, enforce_limit: false")
    world.load_components()
    assert offered(world)["mem"].limit_amount is None


def test_what_the_file_does_not_say_stays(world: World) -> None:
    """What an administrator has set in Waldur outlives each load, an update of others included."""
    set_in_waldur(world, "mem", limit_period="annual", limit_amount=123)
    configure(world, "limit: 40000, measured_unit: GB-hours", "measured_unit: GiB-hours")
    assert world.load_components().updated == ["mem"]
    mem = offered(world)["mem"]
    assert (mem.measured_unit, mem.limit_period, mem.limit_amount) == ("GiB-hours", "annual", 123)
    assert world.load_components().updated == []


def test_null_clears(world: World) -> None:
    """What the file says to be nothing is cleared."""
    set_in_waldur(world, "mem", limit_period="annual", limit_amount=123)
    configure(world, "limit: 40000", "limit: null, limit_period: null")
    world.load_components()
    mem = offered(world)["mem"]
    assert mem.limit_amount is None
    # the newest servers store none as a month; that must not be another difference for ever
    assert mem.limit_period in {None, "month"}
    assert world.load_components().updated == []


def test_refused_before_the_first_request(old: World) -> None:
    """All that the server would refuse is named, and nothing is sent."""
    configure(old, "limit: 40000", "limit: 3000000000, limit_period: quarterly")
    text = "{measured_unit: x, accounting_type: usage, label: x}"
    more = tres_components.parse(f"gres/gpu:1g.5gb: {text}", "the test's configuration")
    old.configure(components={**old.control.components, **more})
    old.forget()
    with pytest.raises(ConfigurationError) as raised:
        old.load_components()
    assert [problem.partition(":")[0] for problem in raised.value.problems] == [
        "gres/gpu",
        "mem",
        "mem",
    ]
    assert old.posts() == []


def test_quarterly_is_new(new: World) -> None:
    """A newer server knows quarters."""
    configure(new, "limit: 40000", "limit: 40000, limit_period: quarterly")
    assert new.load_components().updated == ["mem"]
    assert offered(new)["mem"].limit_period == "quarterly"


def test_billing_is_not_turned_round(world: World) -> None:
    """Waldur would switch running contracts from `limit` to `usage` without a word."""
    configure(world, "accounting_type: limit, label: CPU", "accounting_type: usage, label: CPU")
    with pytest.raises(ConfigurationError, match=r"cpu: the offering bills it by limit"):
        world.load_components()
    assert offered(world)["cpu"].billing_type == "limit"


def test_archived(world: World) -> None:
    """An archived offering takes no change, and that is said before one is sent."""
    offering = world.control.waldur.offering().model_copy(update={"state": "Archived"})
    unchanged = components.plan(world.control, offering)
    assert list(components.refusals(world.control, offering, unchanged)) == []
    configure(world, "label: CPU", "label: Processors")
    changed = components.plan(world.control, offering)
    (said,) = components.refusals(world.control, offering, changed)
    assert "is archived" in said
    assert "cpu" in said


def test_other_components_are_named_by_check(bare: World) -> None:
    """They aren't ours, and whoever looks should know."""
    told = check_components.findings(bare.control, bare.control.waldur.offering())
    assert any("left alone: tape" in finding.message for finding in told)


@pytest.mark.parametrize(
    ("period", "told"),
    [
        ("null", "enforces none without"),
        ("month", "takes no usage above it"),
        ("annual", "lower that for a moment"),
    ],
)
def test_check_tells_what_a_limit_amount_does(old: World, period: str, told: str) -> None:
    """Whoever loads one is told what it keeps from being billed, before a report is."""
    configure(old, "limit: 40000", f"limit: 40000, limit_period: {period}")
    old.load_components()
    findings = check_components.findings(old.control, old.control.waldur.offering())
    said = [row.message for row in findings if row.what == check_components.LIMITS]
    assert [told in message for message in said] == [True]
    assert all(row.verdict is not Verdict.FAILED for row in findings)
