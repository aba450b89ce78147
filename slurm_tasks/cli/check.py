"""`slurm-tasks check`: is everything in place, and if not, what to do."""

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import click

from slurm_tasks.cli import common

if TYPE_CHECKING:
    from slurm_tasks.model.findings import Finding
    from slurm_tasks.model.messages import CheckRequest
    from slurm_tasks.sync.control import Control

_MARKS = {"ok": ("ok", "green"), "warning": ("look", "yellow"), "failed": ("FAIL", "red")}


@click.command()
@click.option("--workers", is_flag=True, help="Only the broker and who consumes its queues.")
@common.through_queue
def check(workers: bool, local: bool, timeout: int, as_json: bool) -> None:
    """Check settings, broker, workers, Waldur, offering, SLURM, accounts, limits and TRES.

    Reads only. SLURM is looked at by the head node's worker, or with --local from here. Exits
    with 1 when something doesn't work, each line saying what to do.
    """
    from slurm_tasks.model.findings import Verdict

    found = []
    for finding in _workers() if workers else _findings(local, timeout):
        found.append(finding)
        if not as_json:
            mark, colour = _MARKS[finding.verdict]
            click.secho(f"{mark:5}", fg=colour, nl=False)
            click.echo(f"{finding.what}: {finding.message}")
    if as_json:
        common.print_json([finding.model_dump(mode="json") for finding in found])
    failures = [finding for finding in found if finding.verdict is Verdict.FAILED]
    common.end(common.FAILED if failures else 0)


def _workers() -> Iterator["Finding"]:
    """Look at nothing that needs a token: for whoever watches the service."""
    common.quiet_logs()
    yield from _broker()


def _findings(local: bool, timeout: int) -> Iterator["Finding"]:
    from slurm_tasks import outgoing, settings
    from slurm_tasks.errors import ConfigurationError
    from slurm_tasks.model.findings import failed, ok
    from slurm_tasks.model.messages import CheckRequest

    groups: list[type[settings.Group]] = [settings.Service, settings.Waldur]
    groups += [settings.Slurm] if local else []
    sound = True
    for group in groups:
        try:
            given = settings.load(group)
            proxy = outgoing.way(given).proxy if isinstance(given, settings.Waldur) else None
            yield ok("settings", f"{group.title}: valid{f', through {proxy}' if proxy else ''}")
        except ConfigurationError as error:
            sound = False
            yield from (failed("settings", problem) for problem in error.problems)
    if not sound:
        return
    common.quiet_logs()
    consumers = yield from _broker()
    request = CheckRequest()
    control = None
    try:
        control = common.local_control()
    except ConfigurationError as error:
        yield from (failed("TRES configuration", problem) for problem in error.problems)
    else:
        from slurm_tasks.sync import check_waldur

        yield from check_waldur.findings(control)
        request = check_waldur.expected(control)
    if local:
        from slurm_tasks.sync import check_slurm

        yield from check_slurm.findings(common.local_headnode(), request)
    elif settings.load(settings.Service).headnode_queue in consumers:
        yield from _slurm_by_queue(request, timeout)
    else:
        yield failed("SLURM", "not looked at: no head-node worker runs (or check with --local)")
        return
    if control:
        yield from _unlinked(control, local, timeout)


def _broker() -> Generator["Finding", None, frozenset[str]]:
    """Look at the broker and at who consumes its queues; returns the queues that have workers."""
    from slurm_tasks import broker, settings
    from slurm_tasks.app import app
    from slurm_tasks.errors import TransientError
    from slurm_tasks.model.findings import failed, ok

    service = settings.load(settings.Service)
    try:
        broker.require(app, common.broker_shown())
    except TransientError as error:
        yield failed("broker", str(error))
        return frozenset()
    yield ok("broker", common.broker_shown())
    answers = app.control.inspect(timeout=2).active_queues() or {}
    consumed: dict[str, list[str]] = {}
    for worker, queues in answers.items():
        for queue in queues:
            consumed.setdefault(queue["name"], []).append(worker)
    for queue in (service.waldur_queue, service.headnode_queue):
        if queue in consumed:
            yield ok("workers", f"queue {queue!r}: {', '.join(sorted(consumed[queue]))}")
        else:
            yield failed(
                "workers",
                f"queue {queue!r} has none; start one: celery -A slurm_tasks worker -Q {queue}",
            )
    return frozenset(consumed)


def _unlinked(control: "Control", local: bool, timeout: int) -> Iterator["Finding"]:
    """Name accounts of ours that Waldur doesn't know any more, where both sides can be asked."""
    from slurm_tasks import celery_settings as names
    from slurm_tasks.errors import SlurmTasksError
    from slurm_tasks.model.findings import warning
    from slurm_tasks.model.messages import ReconcileReport
    from slurm_tasks.sync import cluster, unlinked

    try:
        if local:
            report = cluster.reconcile(unlinked.EVERY, common.local_headnode())
        else:
            sent = unlinked.EVERY.dump()
            rows = common.run(names.CLUSTER_INSPECT, "looking at accounts", timeout, sent)
            report = ReconcileReport.model_validate(rows)
        yield from unlinked.findings(control, report)
    except SlurmTasksError as error:
        yield warning(unlinked.UNLINKED, f"not looked for: {error}")


def _slurm_by_queue(request: "CheckRequest", timeout: int) -> Iterator["Finding"]:
    from slurm_tasks import celery_settings as names
    from slurm_tasks.model.findings import Finding

    rows = common.run(names.CLUSTER_CHECK, "looking at SLURM", timeout, request.dump())
    yield from (Finding.model_validate(row) for row in rows)
