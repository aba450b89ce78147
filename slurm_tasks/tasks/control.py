"""The control side that a worker's process keeps between tasks: connections and configuration."""

import functools
from dataclasses import replace

from slurm_tasks import settings, tres_config
from slurm_tasks.sync.control import Control, connect


@functools.cache
def _kept() -> tuple[Control, tres_config.Current]:
    """Make this process's control side, at its first task: it is kept with its connections."""
    service = settings.load(settings.Service)
    waldur = settings.load(settings.Waldur)
    current = tres_config.Current(waldur)
    return connect(waldur, current.get(), read_only=service.read_only), current


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
