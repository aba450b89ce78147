"""Metrics: what Prometheus is told of a worker, each a value that flows touch directly.

    metrics.usage_decreased.labels(component="cpu").inc()

They cost microseconds, and lead nowhere until a worker's exporter is on (METRICS_PORT). Each has a
label: only a labelled metric is made at its first use, and so after the exporter of that worker
has chosen where its processes keep their values.
"""

import time
from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram

_PREFIX = "waldur_slurm"
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


def _counter(name: str, documentation: str, *labels: str) -> Counter:
    return Counter(name, documentation, labels, namespace=_PREFIX)


def _gauge(name: str, documentation: str, *labels: str) -> Gauge:
    """Declare a gauge; of a worker's processes, the one that set it last is right."""
    return Gauge(name, documentation, labels, namespace=_PREFIX, multiprocess_mode="mostrecent")


def _seconds(name: str, documentation: str, *labels: str) -> Histogram:
    return Histogram(name, documentation, labels, namespace=_PREFIX, buckets=_SECONDS)


cycle_last_success = _gauge(
    "cycle_last_success_timestamp_seconds",
    "When a cycle (orders, members, usage, components) last came to a good end.",
    "cycle",
)
oldest_open_order = _gauge(
    "oldest_open_order_age_seconds",
    "Age of the oldest open order of a type at the last look; 0: there is none.",
    "type",
)
orders = _counter(
    "orders_total",
    "What became of orders: done, erred; waiting for now or stuck, once for each attempt.",
    "type",
    "outcome",
)

resources_released = _counter(
    "resources_released_total",
    "Resources that a late worker of an older Waldur had left Updating or Terminating.",
    "state",
)

slurm_command_seconds = _seconds(
    "command_duration_seconds", "Seconds that SLURM's commands take.", "command"
)
slurm_command_failures = _counter(
    "command_failures_total",
    "SLURM commands that failed, by the kind of error.",
    "command",
    "error",
)
waldur_request_seconds = _seconds(
    "waldur_request_duration_seconds", "Seconds that requests to Waldur take.", "method", "endpoint"
)
waldur_request_failures = _counter(
    "waldur_request_failures_total",
    "Requests that Waldur did not answer (status: none) or answered with an error.",
    "method",
    "endpoint",
    "status",
)

drift_found = _counter(
    "drift_found_total",
    "Changes that the cluster needed although no order asked for them.",
    "change",
)
messages_refused = _counter(
    "messages_refused_total",
    "What was asked for by messages and is refused: unknown_task, content (not JSON), malformed,"
    " expired, foreign_account.",
    "reason",
)
task_failures = _counter(
    "task_failures_total",
    "Tasks that failed for good, by the error; ValidationError: arguments of the wrong types.",
    "task",
    "error",
)
guard_stops = _counter(
    "guard_stops_total",
    "Plans that the guard stopped: wrong cluster, or too many removals.",
    "reason",
)
accounts_missing = _gauge(
    "accounts_missing", "Accounts that Waldur names and the cluster lacks.", "cluster"
)
associations_differing = _gauge(
    "associations_differing",
    "Associations of allocations that slurmctld does not act by as slurmdbd has them.",
    "cluster",
)
associations_without_uid = _gauge(
    "associations_without_uid",
    "Associations of allocations whose user slurmctld has no Unix user for.",
    "cluster",
)
users_waiting = _gauge(
    "users_waiting",
    "Users of allocations who can't be served yet: no Unix user, home directory failed.",
    "reason",
)

configuration_broken = _gauge(
    "configuration_broken",
    "1 while a file (tres: the TRES configuration) is broken since an edit, and the one before"
    " it stays in force.",
    "file",
)

usage_posted = _counter(
    "usage_posted_total",
    "What Waldur took: months' usage of resources, limits, associations.",
    "what",
)
usage_refused = _counter(
    "usage_refused_total",
    "What Waldur refused: months' usage, settings (limits, associations), final usage.",
    "what",
)
usage_missed = _counter(
    "usage_missed_total",
    "Usage of months that are over, in measured units, that Waldur lacks and takes no more.",
    "component",
)
usage_decreased = _counter(
    "usage_decreased_total",
    "Amounts that the cluster reports below what Waldur has, once for each report.",
    "component",
)
usage_reads_failed = _counter(
    "usage_reads_failed_total",
    "Months whose job records could not be read: empty (sacct lists none, and slurmctld counts"
    " usage), waldur (and Waldur has usage), hidden (the worker's user may not see all).",
    "reason",
)


def begin() -> None:
    """Let what can be counted begin at nought: Prometheus sees no rise in what begins at one."""
    for kind in ("Create", "Update", "Terminate", "Restore"):
        for outcome in ("done", "erred", "waiting", "stuck"):
            orders.labels(kind, outcome)
    for reason in ("cluster", "removals"):
        guard_stops.labels(reason)
    for reason in ("unknown_task", "content", "malformed", "expired", "foreign_account"):
        messages_refused.labels(reason)
    for what in ("usage", "limits", "associations"):
        usage_posted.labels(what)
    for what in ("usage", "settings", "final"):
        usage_refused.labels(what)
    for reason in ("empty", "waldur", "hidden"):
        usage_reads_failed.labels(reason)


def begin_components(names: Iterable[str]) -> None:
    """Let what is counted by component begin at nought, too."""
    for name in names:
        usage_missed.labels(name)
        usage_decreased.labels(name)


def succeeded(cycle: str) -> None:
    """Note that a cycle came to a good end just now."""
    cycle_last_success.labels(cycle).set(time.time())
