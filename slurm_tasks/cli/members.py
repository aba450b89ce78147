"""`slurm-tasks members sync`: the users of every allocation, now."""

import click

from slurm_tasks.cli import common


@click.group()
def members() -> None:
    """Synchronise the users of allocations."""


@members.command()
@common.through_queue
def sync(local: bool, timeout: int, as_json: bool) -> None:
    """Make every allocation's users those of its team in Waldur."""
    from slurm_tasks import celery_settings as names

    if local:
        from slurm_tasks.sync import cluster
        from slurm_tasks.sync import members as flow

        control = common.local_control()
        report = cluster.reconcile(flow.request(control), common.local_headnode())
        summary = flow.push(control, report)
    else:
        summary = common.run(names.MEMBERS_SYNC, "synchronising users", timeout)
    if as_json:
        common.print_json(summary)
    else:
        shown = ", ".join(f"{value} {name}" for name, value in summary.items() if value)
        click.echo(shown or "no allocations")
    left = sum(summary.get(name, 0) for name in ("refused", "deferred", "stopped", "missing"))
    common.end(common.FAILED if left else 0)
