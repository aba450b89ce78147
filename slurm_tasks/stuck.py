"""Stuck orders: tried again less and less often, by a hint at the broker.

The hint may be lost: then an order is tried once more than it had to be, and nothing else.
"""

import json
import time
from collections.abc import Iterable
from typing import Any

import structlog
from celery import Celery
from kombu.exceptions import KombuError
from redis import Redis, RedisError

from slurm_tasks import broker

_AWAY = (RedisError, KombuError, OSError)
log = structlog.stdlib.get_logger(__name__)

LONGEST = 3600.0
"""Seconds between two attempts at most; but never less than the schedule's interval."""
KEPT = 7200
"""Seconds that a hint outlives its own time, so that the distance goes on growing."""


def distance(attempts: int, interval: float) -> float:
    """Seconds until the next attempt: one interval, two, four, … up to an hour."""
    return float(min(interval * 2 ** min(attempts - 1, 16), max(LONGEST, interval)))


def remember(app: Celery, order: str, reason: str, interval: float) -> tuple[int, float]:
    """Note that an order is stuck.

    Args:
        app: Celery's application.
        order: its uuid.
        reason: why, for people.
        interval: of the schedule, in seconds.

    Returns:
        How often it was tried, and the seconds until the next attempt.
    """
    attempts, seconds = 1, interval
    try:
        with broker.connected(app) as client:
            attempts = int(_read(client, order).get("attempts", 0)) + 1
            seconds = distance(attempts, interval)
            hint = {"attempts": attempts, "until": time.time() + seconds, "reason": reason}
            client.set(_key(order), json.dumps(hint), ex=int(seconds) + KEPT)
    except _AWAY as error:
        log.warning("hint_lost", order=order, reason=str(error))
    return attempts, seconds


def waiting(app: Celery, orders: Iterable[str]) -> dict[str, str]:
    """Return the reasons of those orders that aren't to be tried yet, by uuid."""
    try:
        with broker.connected(app) as client:
            hints = {order: _read(client, order) for order in orders}
    except _AWAY as error:
        log.warning("hint_lost", reason=str(error))
        return {}
    # the schedule comes round a little early or late
    return {
        order: str(hint["reason"])
        for order, hint in hints.items()
        if hint and hint["until"] > time.time() + 1
    }


def _key(order: str) -> str:
    return f"waldur-slurm-tasks:stuck:{order}"


def _read(client: Redis, order: str) -> dict[str, Any]:
    """Read a hint; anything but one of ours is none."""
    text: Any = client.get(_key(order))
    try:
        hint = json.loads(text or "{}")
        valid = isinstance(hint["attempts"], int) and isinstance(hint["until"], int | float)
    except (ValueError, TypeError, KeyError):
        return {}
    return hint if valid and isinstance(hint.get("reason"), str) else {}
