"""The metrics of this process, as a test reads them."""

from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from slurm_tasks import metrics

ALL = {name: value for name, value in vars(metrics).items() if isinstance(value, MetricWrapperBase)}
"""Every metric by its name in the module."""


def reset() -> None:
    """Count from now on."""
    for metric in ALL.values():
        metric.clear()


def read(name: str, **labels: str) -> float | None:
    """Return a metric's value; None: nothing has touched it since `reset`."""
    return REGISTRY.get_sample_value(f"waldur_slurm_{name}", labels)
