"""The metrics: what flows touch, and what an exporter makes of it."""

import pytest
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from slurm_tasks import metrics

ALL = {name: value for name, value in vars(metrics).items() if isinstance(value, MetricWrapperBase)}


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_metric_has_a_label(name: str) -> None:
    """One without would be made at import, before the exporter has chosen where values are kept."""
    assert ALL[name]._labelnames


def test_metrics_count_without_an_exporter() -> None:
    """They cost nothing and break nothing in a process that exports nothing."""
    name, labels = "waldur_slurm_guard_stops_total", {"reason": "test"}
    before = REGISTRY.get_sample_value(name, labels) or 0

    metrics.guard_stops.labels("test").inc()

    assert REGISTRY.get_sample_value(name, labels) == before + 1
