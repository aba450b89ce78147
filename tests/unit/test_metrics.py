"""The metrics by themselves."""

import os

import pytest

from slurm_tasks import metrics
from slurm_tasks.app import _export_metrics
from tests.support import meter


@pytest.mark.parametrize("name", sorted(meter.ALL))
def test_every_metric_has_a_label(name: str) -> None:
    """One without would be made at import, before the exporter has chosen where values are kept."""
    assert meter.ALL[name]._labelnames


def test_metrics_count_without_an_exporter() -> None:
    """They break nothing in a process that exports nothing."""
    meter.reset()

    metrics.guard_stops.labels("removals").inc()

    assert meter.read("guard_stops_total", reason="removals") == 1


def test_nothing_is_exported_without_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """METRICS_PORT is the switch: no folder of values is made, and nothing listens."""
    monkeypatch.delenv("METRICS_PORT", raising=False)
    _export_metrics()

    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ
