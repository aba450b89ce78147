"""`slurm-tasks usage …`: what the cluster measured beside what Waldur has."""

from typing import Any

import click

from slurm_tasks.cli import common

MONTH = click.option(
    "--month", "months", multiple=True, metavar="YYYY-MM", help="A month; may be repeated."
)


@click.group()
def usage() -> None:
    """Show usage, or report it to Waldur."""


@usage.command()
@MONTH
@common.through_queue
def show(months: tuple[str, ...], local: bool, timeout: int, as_json: bool) -> None:
    """Print what differs between the cluster's usage and Waldur's; posts nothing."""
    _show(_report(months, local, timeout, dry_run=True), as_json, dry_run=True)


@usage.command()
@MONTH
@click.option("--dry-run", is_flag=True, help="Print what would be posted, and post nothing.")
@common.through_queue
def report(
    months: tuple[str, ...], dry_run: bool, local: bool, timeout: int, as_json: bool
) -> None:
    """Report the usage of the open months, or of those given, to Waldur."""
    parts = _report(months, local, timeout, dry_run=dry_run)
    _show(parts, as_json, dry_run=dry_run)
    refused = any(part["refused"] for part in parts)
    common.end(common.FAILED if refused else 0)


def _report(
    months: tuple[str, ...], local: bool, timeout: int, *, dry_run: bool
) -> list[dict[str, Any]]:
    from zoneinfo import ZoneInfo

    from slurm_tasks import celery_settings as names
    from slurm_tasks.model.usage import month

    try:
        for text in months:
            month(text, ZoneInfo("UTC"))
    except ValueError:
        common.fail(f"--month: {text!r} is not a month; write YYYY-MM", common.MISCONFIGURED)
    if local:
        from slurm_tasks.sync import cluster
        from slurm_tasks.sync import usage as flow

        control = common.local_control()
        periods = tuple(month(text, control.zone) for text in months)
        request = flow.request(control, periods)
        measured = cluster.collect(request, common.local_headnode()) if request.accounts else ()
        return [flow.push(control, part, dry_run=dry_run).summary() for part in measured]
    sent = common.run(
        names.USAGE_REPORT, "measuring usage", timeout, months=list(months), dry_run=dry_run
    )
    return [common.wait(common.result_of(task), "comparing with Waldur", timeout) for task in sent]


def _show(parts: list[dict[str, Any]], as_json: bool, *, dry_run: bool) -> None:
    if as_json:
        common.print_json(parts)
        return
    rows = [
        (item["account"], item["month"], name, item["old"].get(name, "0.00"), value)
        for part in parts
        for item in part["posted"]
        for name, value in item["new"].items()
        if item["old"].get(name, "0.00") != value
    ]
    if rows:
        new = "cluster" if dry_run else "posted"
        common.print_table(["account", "month", "component", "Waldur", new], rows)
    else:
        click.echo("Waldur has what the cluster measured")
    for part in parts:
        for account in part["missing"]:
            click.secho(f"{account}: the cluster doesn't have this account", fg="yellow")
        for text in part["refused"]:
            click.secho(f"refused: {text}", fg="yellow")
