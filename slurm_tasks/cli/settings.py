"""`slurm-tasks settings`: every setting, its value, where that comes from, and what it means."""

from typing import TYPE_CHECKING

import click

from slurm_tasks.cli import common

if TYPE_CHECKING:
    from slurm_tasks.settings_view import Setting


@click.command()
@common.as_json
@common.reports_errors
def settings(as_json: bool) -> None:
    """Print every setting with its value, source and meaning; secrets are masked.

    Exits with 2 when a value is invalid. A setting that is required by one kind of worker only
    is shown as missing, and is no error here.
    """
    from dataclasses import asdict

    from slurm_tasks import settings as model
    from slurm_tasks import settings_view

    rows = list(settings_view.describe())
    if as_json:
        common.print_json([asdict(row) for row in rows])
    else:
        _show(rows)
    problems = [problem for group in model.GROUPS for problem in model.invalid(group)]
    if problems:
        common.fail("\n".join(problems), common.MISCONFIGURED)


def _show(rows: "list[Setting]") -> None:
    for group in dict.fromkeys(row.group for row in rows):
        click.secho(f"\n# {group}", bold=True)
        for row in rows:
            if row.group == group:
                click.secho(f"{row.variable}={row.value}", fg="cyan", nl=False)
                click.echo(f"  ({row.source})\n    {row.meaning}")
