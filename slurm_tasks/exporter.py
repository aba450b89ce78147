"""The exporter: a worker's metrics for Prometheus, from all of its processes, by HTTP.

The processes of a pool share nothing, so each keeps its values in a mapped file of a folder that
the worker makes, and the worker's parent adds them up when it is asked.
"""

import os
import shutil
import tempfile

from billiard.process import current_process
from prometheus_client import CollectorRegistry, exposition, values
from prometheus_client.multiprocess import MultiProcessCollector

from slurm_tasks import metrics
from slurm_tasks.errors import ConfigurationError

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def start(address: str, port: int) -> None:
    """Serve the metrics of this process and of those that it forks, from now on.

    Raises:
        ConfigurationError: the address can't be listened on.
    """
    os.environ[_FOLDER] = tempfile.mkdtemp(prefix="slurm-tasks-metrics-")
    values.ValueClass = values.MultiProcessValue(_slot)  # type: ignore[no-untyped-call]
    metrics.begin()
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    try:
        server, _ = exposition.start_http_server(port, address, registry)
    except OSError as error:
        stop()
        raise ConfigurationError(
            f"METRICS_ADDRESS, METRICS_PORT: can't listen on {address}:{port} ({error.strerror});"
            " each worker on a host needs a port of its own"
        ) from error
    # a child must not keep the port when its parent is gone
    os.register_at_fork(after_in_child=server.socket.close)


def stop(**_: object) -> None:
    """Remove the folder of values."""
    shutil.rmtree(os.environ.pop(_FOLDER, ""), ignore_errors=True)


def _slot() -> str:
    """Name this process among the worker's.

    By its place in the pool, not by its pid: a child that takes another's place goes on with its
    file, so that counters don't fall and files don't pile up.
    """
    return str(getattr(current_process(), "index", "parent"))
