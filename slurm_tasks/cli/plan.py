"""`slurm-tasks plan` and `apply`: what would change on the cluster, and changing it."""

from typing import Any

import click

from slurm_tasks.cli import common

SOMETHING = 2


@click.command()
@common.through_queue
def plan(local: bool, timeout: int, as_json: bool) -> None:
    """Print what would change on the cluster, for all of the offering's resources.

    Reads only. Exits with 0 when nothing would change, with 2 when something would. Then come
    notes: limits that stay as they are, and accounts of ours that Waldur doesn't know any more.
    """
    report = _report(local, timeout, apply=False, allow_removals=None)
    common.end(_show(report, as_json, done=False))


@click.command()
@click.option(
    "--allow-removals",
    type=click.IntRange(min=0),
    help="Let this many removals pass the guard (see `slurm-tasks plan`).",
)
@common.through_queue
def apply(allow_removals: int | None, local: bool, timeout: int, as_json: bool) -> None:
    """Make the cluster as Waldur has it, for all of the offering's resources.

    Carries out what `slurm-tasks plan` prints. Exits with 1 when something could not be done.
    """
    report = _report(local, timeout, apply=True, allow_removals=allow_removals)
    _show(report, as_json, done=True)
    unfinished = [row for row in report["outcomes"] if row["status"] != "applied"]
    common.end(common.FAILED if unfinished else 0)


def _report(
    local: bool, timeout: int, *, apply: bool, allow_removals: int | None
) -> dict[str, Any]:
    from slurm_tasks import celery_settings as names

    if not local:
        what = "changing the cluster" if apply else "planning"
        report: dict[str, Any] = common.run(
            names.MEMBERS_PLAN, what, timeout, apply=apply, allow_removals=allow_removals
        )
        return report
    from slurm_tasks.model.messages import Intent
    from slurm_tasks.sync import cluster, members, unlinked

    control = common.local_control()
    request = members.request(control, intent=Intent.UPDATE, dry_run=not apply)
    request = request.model_copy(update={"allow_removals": allow_removals})
    found = cluster.reconcile(request, common.local_headnode())
    return (found if apply else unlinked.named(control, found)).dump()


def _show(report: dict[str, Any], as_json: bool, *, done: bool) -> int:
    """Print changes and what stands in their way; returns the exit code of `plan`."""
    outcomes = report["outcomes"]
    changes = [(row["account"], text) for row in outcomes for text in row["changes"]]
    changes += [("no allocation", text) for text in report["tidied"]]
    notes = [(row["account"], row["status"], row["message"]) for row in outcomes if row["message"]]
    remarks = [(row["account"], text) for row in outcomes for text in row["notes"]]
    if as_json:
        common.print_json(report)
    else:
        for account, text in changes:
            click.echo(f"{account}: {text}")
        for account, status, message in notes:
            click.secho(f"{account}: {status}: {message}", fg="yellow")
        for account, text in remarks:
            click.secho(f"{account}: note: {text}", fg="yellow")
        for text in report["unknown"]:
            click.secho(text, fg="yellow")
        verb = "changed" if done else "to change"
        click.echo(f"{len(outcomes)} allocations, {len(changes)} {verb}")
    return SOMETHING if changes or notes else 0
