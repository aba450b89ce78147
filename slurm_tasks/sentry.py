"""Sentry: one event for each final failure, one check-in for each cycle; never a secret.

A cycle's monitor is told of its good ends only, and Sentry misses those that don't come. (Its own
`monitor_beat_tasks` would call every retry an error, and would wait for ever for the end of a task
that hands over to others.)
"""

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from slurm_tasks.errors import CommandError
from slurm_tasks.settings import Service
from slurm_tasks.version import __version__

FILTERED = "[Filtered]"
QUIET = 3600.0
"""Seconds for which a library's message is told once: Celery repeats that the broker is away."""
LATE_MIN = 5
"""Minutes that a cycle may be late at least."""

_told: dict[tuple[str, str], float] = {}


def start(service: Service, secrets: frozenset[str]) -> None:
    """Start error reports, where a DSN is set."""
    if service.sentry_dsn:
        import sentry_sdk

        sentry_sdk.init(**options(service, secrets))


def options(service: Service, secrets: frozenset[str]) -> dict[str, Any]:
    """Return Sentry's options.

    Args:
        service: the DSN and the environment.
        secrets: texts that must not be in any event.
    """
    from sentry_sdk.integrations.celery import CeleryIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration
    from sentry_sdk.integrations.stdlib import StdlibIntegration

    return {
        "dsn": service.sentry_dsn and service.sentry_dsn.get_secret_value(),
        "environment": service.sentry_environment,
        "release": f"waldur-slurm-tasks@{__version__}",
        "auto_enabling_integrations": False,  # they would import half of site-packages
        # it would write into the environment of SLURM's commands
        "disabled_integrations": [StdlibIntegration],
        "integrations": [CeleryIntegration(), LoggingIntegration()],
        "include_local_variables": False,
        "before_breadcrumb": _readable,
        "before_send": partial(_prepared, secrets),
    }


def check_in(service: Service, cycle: str) -> None:
    """Tell a cycle's monitor that it came to a good end; it is made by the first time."""
    seconds = {
        "orders": service.orders_interval,
        "members": service.members_interval,
        "usage": service.usage_interval,
    }.get(cycle)
    if not service.sentry_dsn or seconds is None:
        return
    from sentry_sdk.crons import MonitorStatus, capture_checkin

    minutes = math.ceil(seconds / 60)  # Sentry knows no shorter ones
    capture_checkin(
        monitor_slug=cycle,
        status=MonitorStatus.OK,
        monitor_config={
            "schedule": {"type": "interval", "value": minutes, "unit": "minute"},
            "timezone": "UTC",
            "checkin_margin": max(LATE_MIN, minutes),
        },
    )


def _prepared(
    secrets: frozenset[str], event: dict[str, Any], hint: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Complete an event and take every secret out of it; None: it isn't sent."""
    record = hint.get("log_record")
    if record and _is_repetition(record):
        return None
    if fields := _fields(record):
        event["logentry"] = {"message": fields.pop("event")}
        event["extra"] = fields
    for error in _chain(hint.get("exc_info", (None, None, None))[1]):
        if isinstance(error, CommandError):
            event.setdefault("contexts", {})["slurm_command"] = {
                "argv": list(error.argv),
                "exit_code": error.exit_code,
                "stderr": error.stderr,
            }
    scrubbed: dict[str, Any] = _mapped(event, lambda text: _without(secrets, text))
    return scrubbed


def _readable(crumb: dict[str, Any], hint: Mapping[str, Any]) -> dict[str, Any]:
    """Make one of our log lines a breadcrumb with its fields."""
    if fields := _fields(hint.get("log_record")):
        crumb |= {"message": fields.pop("event"), "data": fields}
    return crumb


def _fields(record: logging.LogRecord | None) -> dict[str, Any]:
    """Return the fields of one of our log lines as JSON's own types; those of others have none."""
    line: object = record and record.msg  # structlog puts its fields there
    return dict(json.loads(json.dumps(line, default=str))) if isinstance(line, dict) else {}


def _is_repetition(record: logging.LogRecord) -> bool:
    """Tell whether a library's message was told within the hour."""
    if not isinstance(record.msg, str):
        return False
    key, now = (record.name, record.msg), time.monotonic()
    if key in _told and now - _told[key] < QUIET:
        return True
    _told[key] = now
    return False


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__


def _without(secrets: frozenset[str], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, FILTERED)
    return text


def _mapped(value: Any, change: Callable[[str], str]) -> Any:  # noqa: ANN401 - JSON is anything
    """Change all texts of a JSON value, keys included."""
    match value:
        case str():
            return change(value)
        case Mapping():
            return {_mapped(k, change): _mapped(v, change) for k, v in value.items()}
        case list() | tuple():
            return [_mapped(item, change) for item in value]
        case _:
            return value
