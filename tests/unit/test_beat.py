"""Beat's scheduler while the clock jumps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine
from celery import Celery

from slurm_tasks.liveness import Scheduler

HOUR = 3600
INTERVAL = 120


class Recording(Scheduler):
    """Beat's scheduler, which notes what it would send."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        self.sent: list[str] = []
        super().__init__(*args, **kwargs)

    def apply_entry(self, entry: object, producer: object = None) -> None:  # noqa: ARG002 - Celery's
        """Note it."""
        self.sent.append(str(getattr(entry, "name", "")))

    @property
    def producer(self) -> None:
        """Connect to nothing."""


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Let it be noon."""
    with time_machine.travel(datetime(2025, 3, 15, 12, tzinfo=UTC), tick=False) as traveller:
        yield traveller


@pytest.fixture
def beat(tmp_path: Path, clock: time_machine.Traveller) -> Iterator[Recording]:
    """Start a schedule of one task, which has been sent once."""
    app = Celery("tests", set_as_current=False)
    app.conf.update(timezone="UTC", beat_schedule={"orders": {"task": "x", "schedule": INTERVAL}})
    started = Recording(app, schedule_filename=str(tmp_path / "schedule"))
    clock.shift(INTERVAL)
    sent_now(started)
    assert started.sent == ["orders"]
    yield started
    started.close()


def sent_now(beat: Recording) -> None:
    """Let it start all that is due."""
    while beat.tick() == 0:
        pass


@pytest.mark.parametrize("jump", [-HOUR, -HOUR * 24 * 365, HOUR, 0])
def test_schedule_goes_on(beat: Recording, clock: time_machine.Traveller, jump: int) -> None:
    """After a jump of the clock, tasks come in their interval from then on."""
    clock.shift(jump)
    sent_now(beat)
    beat.sent.clear()

    for _ in range(3):
        clock.shift(INTERVAL + 1)
        sent_now(beat)

    assert beat.sent == ["orders"] * 3


def test_schedule_of_the_future_is_read(
    beat: Recording, clock: time_machine.Traveller, tmp_path: Path
) -> None:
    """A beat that is started while its file is ahead of the clock goes on at once."""
    beat.sync()
    clock.shift(-HOUR)
    again = Recording(beat.app, schedule_filename=str(tmp_path / "schedule"))
    sent_now(again)
    clock.shift(INTERVAL + 1)
    sent_now(again)

    assert again.sent == ["orders"]
    again.close()
