"""Celery's settings: tests on the configuration itself."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery import Celery
from celery.schedules import crontab

import slurm_tasks.tasks  # noqa: F401 - registers the tasks
from slurm_tasks import celery_settings
from slurm_tasks.app import app
from slurm_tasks.celery_settings import HARD_LIMIT, SOFT_LIMIT, VISIBILITY, from_settings
from slurm_tasks.settings import Service, Slurm
from slurm_tasks.tasks import runtime

OURS = sorted(name for name in app.tasks if name.startswith("slurm_tasks."))
NAMES = sorted(
    value
    for key, value in vars(celery_settings).items()
    if key.isupper() and isinstance(value, str) and value.startswith("slurm_tasks.")
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Begin without any of our variables."""
    for field in Service.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)
    return monkeypatch


def configured(**changed: object) -> dict[str, Any]:
    """Return Celery's settings for a service, with some of it changed."""
    return from_settings(Service.model_validate(changed))


def routed(name: str, **changed: object) -> Any:  # noqa: ANN401 - kombu's Queue
    """Return the queue that a task is sent to."""
    other = Celery(set_as_current=False)
    other.conf.update(configured(**changed))
    return other.amqp.router.route({}, name)["queue"]


@pytest.mark.parametrize("name", OURS)
def test_every_task_is_routed_to_the_queue_of_its_side(name: str) -> None:
    """SLURM's tasks go to the head node, all others to the control worker."""
    on_headnode = name.startswith("slurm_tasks.cluster.")

    matching = [
        pattern for pattern in configured()["task_routes"] if name.startswith(pattern.rstrip("*"))
    ]

    assert len(matching) == 1
    assert routed(name).name == ("headnode" if on_headnode else "waldur")


def test_sites_may_name_the_queues() -> None:
    """Routes follow the names."""
    chosen = {"waldur_queue": "w2", "headnode_queue": "h2"}

    assert routed(celery_settings.CLUSTER_RECONCILE, **chosen).name == "h2"
    assert routed(celery_settings.ORDERS_SYNC, **chosen).name == "w2"


def test_every_name_of_a_task_is_a_registered_task() -> None:
    """The constants and the tasks are the same set."""
    assert NAMES == OURS


def test_each_queue_has_its_own_exchange_and_routing_key() -> None:
    """On a shared exchange both queues would get every message."""
    waldur, headnode = configured()["task_queues"]

    assert (waldur.name, waldur.exchange.name, waldur.routing_key) == ("waldur",) * 3
    assert (headnode.name, headnode.exchange.name, headnode.routing_key) == ("headnode",) * 3
    assert waldur.exchange.type == headnode.exchange.type == "direct"


def test_a_misspelt_queue_is_an_error() -> None:
    """No queue is made that nobody consumes."""
    assert configured()["task_create_missing_queues"] is False


@pytest.mark.parametrize(
    ("direction", "entries"),
    [
        ("both", {"orders", "members", "usage", "usage-closing"}),
        ("pull", {"orders", "members"}),
        ("push", {"usage", "usage-closing"}),
    ],
)
def test_the_direction_decides_what_beat_starts(direction: str, entries: set[str]) -> None:
    """Pull: from Waldur into SLURM; push: from SLURM into Waldur."""
    assert set(configured(direction=direction)["beat_schedule"]) == entries


def interval_of(entry: dict[str, Any]) -> float:
    """Return the seconds between two ticks, at least."""
    if isinstance(entry["schedule"], crontab):
        minutes = sorted(entry["schedule"].minute)
        return 60 * float(min(b - a for a, b in pairwise([*minutes, minutes[0] + 60])))
    return float(entry["schedule"])


def test_every_tick_names_a_task_and_expires_within_its_interval() -> None:
    """Ticks don't pile up while a worker is away."""
    for interval in (None, 30):
        chosen = {f"{name}_interval": interval for name in ("orders", "members", "usage")}
        schedule = configured(**(chosen if interval else {}))["beat_schedule"]

        for entry in schedule.values():
            assert entry["task"] in app.tasks
            assert entry["options"]["expires"] <= interval_of(entry)


def test_intervals_are_the_settings() -> None:
    """Orders every two minutes, members every five, usage every hour, unless a site says more."""
    usual = configured()["beat_schedule"]
    changed = configured(orders_interval=10)["beat_schedule"]

    intervals = {name: interval_of(entry) for name, entry in usual.items()}
    assert intervals == {"orders": 120, "members": 300, "usage": 3600, "usage-closing": 300}
    assert changed["orders"]["schedule"] == 10


def test_no_schedule_depends_on_local_time() -> None:
    """Intervals in UTC can't straddle a change of the clocks."""
    assert configured()["timezone"] == "UTC"
    assert configured()["enable_utc"] is True
    for entry in configured()["beat_schedule"].values():
        assert isinstance(entry["schedule"], int | float | crontab)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "Pacific/Kiritimati", "Etc/GMT+12"])
def test_a_month_is_looked_at_twice_before_it_ends_anywhere(zone: str) -> None:
    """Ten minutes before its end and five, whatever the time zone of the billing month."""
    closing = configured()["beat_schedule"]["usage-closing"]["schedule"]
    for month in (1, 2, 3, 12):
        end = datetime(2025 + month // 12, month % 12 + 1, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC)
        ticks = [
            minutes
            for minutes in range(1, 11)
            if (moment := end - timedelta(minutes=minutes)).minute in closing.minute
            and moment.hour in closing.hour
            and moment.day in closing.day_of_month
        ]
        assert ticks == [4, 9]


def test_a_message_is_not_delivered_again_while_its_task_may_still_run() -> None:
    """Visibility exceeds a task's time, its wait behind another, and all of its retries."""
    backoffs = [
        min(runtime.BACKOFF * 2**retry, runtime.BACKOFF_MAX) for retry in range(runtime.RETRIES)
    ]
    found = configured()

    assert sum(backoffs) + 2 * HARD_LIMIT < VISIBILITY
    assert found["visibility_timeout"] == VISIBILITY
    assert found["broker_transport_options"]["visibility_timeout"] == VISIBILITY
    assert found["result_backend_transport_options"]["visibility_timeout"] == VISIBILITY


def test_a_command_ends_before_its_task_does() -> None:
    """The longest timeout of a SLURM command lies below the soft limit, that below the hard."""
    (longest,) = (item.le for item in Slurm.model_fields["timeout"].metadata if hasattr(item, "le"))

    assert longest < SOFT_LIMIT < HARD_LIMIT
    assert configured()["task_soft_time_limit"] == SOFT_LIMIT
    assert configured()["task_time_limit"] == HARD_LIMIT


def test_only_json_is_sent_and_accepted() -> None:
    """A pickle in the queue would be a program."""
    found = configured()

    assert found["accept_content"] == found["result_accept_content"] == ["json"]
    assert found["task_serializer"] == found["result_serializer"] == "json"


def test_a_killed_worker_loses_no_task_and_repeats_none_for_ever() -> None:
    """Late acknowledgement and bounded retries; rejecting on loss would be an endless loop."""
    found = configured()

    assert found["task_acks_late"] is True
    assert found["task_retry_on_worker_lost"] is True
    assert found["task_reject_on_worker_lost"] is False
    assert found["worker_prefetch_multiplier"] == 1


@pytest.mark.parametrize("name", OURS)
def test_every_task_is_bounded_in_its_retries(name: str) -> None:
    """Transient errors are retried for about two minutes, then it is the schedule's turn."""
    task = app.tasks[name]

    assert 0 <= task.max_retries <= runtime.RETRIES
    assert task.acks_late is not False


def test_a_key_prefix_separates_two_offerings() -> None:
    """It is set only when there is one, at the broker and for results."""
    assert "global_keyprefix" not in configured()["broker_transport_options"]
    for options in ("broker_transport_options", "result_backend_transport_options"):
        assert configured(key_prefix="two:")[options]["global_keyprefix"] == "two:"


def test_results_are_kept_at_the_broker_unless_told_otherwise() -> None:
    """A site may name another place for them."""
    both = configured(broker_url="redis://one/0")
    apart = configured(broker_url="redis://one/0", result_backend="redis://two/0")

    assert both["result_backend"] == "redis://one/0"
    assert apart["result_backend"] == "redis://two/0"


SHOW = """
from slurm_tasks.app import app
print(app.conf.worker_concurrency, app.conf.task_time_limit, app.conf.task_default_queue)
"""


def shown(folder: Path, **variables: str) -> str:
    """Print some settings in a process of its own, started as an installed script is."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", SHOW],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | variables,
        check=False,
    )
    return done.stdout.strip() or f"{done.returncode} {done.stderr.strip()}"


def test_a_celeryconfig_in_the_working_directory_wins(tmp_path: Path) -> None:
    """Names that it sets replace ours, all others stay as they are."""
    (tmp_path / "celeryconfig.py").write_text("worker_concurrency = 3\ntask_time_limit = 5\n")

    assert shown(tmp_path, CELERY_WALDUR_QUEUE="w2") == "3 5 w2"


def test_a_module_named_in_the_environment_wins(tmp_path: Path) -> None:
    """CELERY_CONFIG_MODULE may name another one."""
    (tmp_path / "celeryconfig.py").write_text("task_time_limit = 5\n")
    (tmp_path / "site_settings.py").write_text("task_time_limit = 7\n")

    assert shown(tmp_path, CELERY_CONFIG_MODULE="site_settings") == "None 7 waldur"


def test_a_broken_setting_ends_the_process_with_all_problems(tmp_path: Path) -> None:
    """Exit code 2 and a line for each problem, without a traceback."""
    text = shown(tmp_path, CELERY_BROKER_URL="amqp://x", LOG_LEVEL="LOUD")

    code, *lines = text.split(" ", 1)
    problems = lines[0].splitlines()
    assert code == "2"
    assert [line.split(":")[1].strip() for line in problems] == ["CELERY_BROKER_URL", "LOG_LEVEL"]
