"""The control side that a worker's process keeps between tasks: connections and configuration."""

import functools

from slurm_tasks import settings
from slurm_tasks.sync.control import Control, connect


@functools.cache
def control() -> Control:
    """Return this process's control side, made at the first task and kept with its connections."""
    service = settings.load(settings.Service)
    return connect(settings.load(settings.Waldur), read_only=service.read_only)
