"""The control side that a worker's process keeps between tasks: connections and configuration."""

import functools
from collections.abc import Callable
from dataclasses import replace

import redis
from kombu.exceptions import KombuError

from slurm_tasks import broker, metrics, settings, tres_config
from slurm_tasks.app import app
from slurm_tasks.sync.control import Control, connect
from slurm_tasks.sync.told import Told

TOLD_SECONDS = 40 * 86400
"""How long all processes know what one of them has told: longer than a month."""


@functools.cache
def _kept() -> tuple[Control, tres_config.Current]:
    """Make this process's control side, at its first task: it is kept with its connections."""
    service = settings.load(settings.Service)
    waldur = settings.load(settings.Waldur)
    current = tres_config.Current(waldur)
    metrics.begin_components(current.get())
    side = connect(waldur, current.get(), read_only=service.read_only)
    return replace(side, first=_first(waldur.offering_uuid)), current


def _first(offering: str) -> Callable[[str], bool]:
    """Tell things once, whichever process finds them; without the broker, once for each."""
    told = Told()

    def first(key: str) -> bool:
        if not told.first(key):
            return False
        try:
            return broker.first_of_many(app, f"told:{offering}:{key}", TOLD_SECONDS)
        except (redis.RedisError, KombuError, OSError):
            return True

    return first


def control(*, strict: bool = False) -> Control:
    """Return this process's control side, with the TRES configuration that is in force.

    Args:
        strict: what the file says now, even if it was changed a moment ago.

    Raises:
        ConfigurationError: the TRES configuration was broken from the start, or, if `strict`, is
            broken now.
    """
    kept, current = _kept()
    return replace(kept, components=current.read() if strict else current.get())
