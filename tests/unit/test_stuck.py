"""A stuck order is tried less and less often; what the broker forgets costs one attempt."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import Mock

import pytest
import time_machine
from celery import Celery
from kombu.exceptions import OperationalError
from redis import RedisError
from structlog.testing import capture_logs

from slurm_tasks import broker, stuck
from slurm_tasks.demo.stack import embedded_broker

ORDER, OTHER = "a" * 32, "b" * 32


@pytest.fixture(scope="module")
def app() -> Iterator[Celery]:
    """An application with a broker of its own."""
    with embedded_broker() as url:
        yield Celery(broker=url)


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(1, 120), (2, 240), (5, 1920), (6, 3600), (10_000, 3600)]
)
def test_the_distance_grows_to_an_hour(attempts: int, seconds: float) -> None:
    """Two minutes, four, eight, … and never less than an hour's look."""
    assert stuck.distance(attempts, 120) == seconds


def test_a_longer_schedule_is_its_own_distance() -> None:
    """No attempt comes between two looks."""
    assert stuck.distance(9, 7200) == 7200


def test_it_waits_its_time(app: Celery) -> None:
    """Until then its reason is known; then it is tried, and if that fails, waits twice as long."""
    with time_machine.travel(1_000_000, tick=False) as clock:
        assert stuck.remember(app, ORDER, "no price", 120) == (1, 120)
        assert stuck.waiting(app, [ORDER, OTHER]) == {ORDER: "no price"}
        clock.shift(120)
        assert stuck.waiting(app, [ORDER]) == {}
        assert stuck.remember(app, ORDER, "no price", 120) == (2, 240)
        clock.shift(121)
        assert stuck.waiting(app, [ORDER]) == {ORDER: "no price"}


@pytest.mark.parametrize("text", ["", "garbage", "[]", '{"attempts": "x", "until": 9e9}', "1"])
def test_garbage_is_no_hint(app: Celery, text: str) -> None:
    """Whatever stands at the broker: the order is tried."""
    with broker.connected(app) as client:
        client.set(stuck._key(ORDER), text)
    assert stuck.waiting(app, [ORDER]) == {}
    assert stuck.remember(app, ORDER, "no price", 120) == (1, 120)


@pytest.mark.parametrize("error", [RedisError, OperationalError, ConnectionRefusedError])
def test_without_a_broker_it_is_tried(
    app: Celery, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hint is lost, which is told, and nothing else happens."""
    monkeypatch.setattr(broker, "connected", Mock(side_effect=error("away")))
    with capture_logs() as logs:
        assert stuck.waiting(app, [ORDER]) == {}
        assert stuck.remember(app, ORDER, "no price", 120) == (1, 120)
    assert {line["event"] for line in logs} == {"hint_lost"}
