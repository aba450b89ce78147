"""`slurm-tasks components …`: the TRES configuration and the offering's components."""

import click

from slurm_tasks.cli import common


@click.group()
def components() -> None:
    """Show, send, or start a TRES configuration."""


@components.command()
@common.reports_errors
def example() -> None:
    """Print a TRES configuration to start from."""
    from slurm_tasks import example as file

    click.echo(file.read(), nl=False)


@components.command(name="list")
@common.as_json
@common.reports_errors
def list_(as_json: bool) -> None:
    """Print the components of the TRES configuration, after checking it."""
    from slurm_tasks import settings, tres_config

    found = tres_config.read(settings.load(settings.Waldur))
    if as_json:
        common.print_json({name: item.model_dump(mode="json") for name, item in found.items()})
        return
    common.print_table(
        ["TRES", "label", "billed by", "unit", "TRES-minutes in it", "limit", "enforced"],
        [
            (
                name,
                item.label,
                item.accounting_type,
                item.measured_unit,
                item.unit_factor,
                "none" if item.limit is None else item.limit,
                "yes" if item.enforce_limit else "by SLURM only",
            )
            for name, item in found.items()
        ],
    )


@components.command()
@common.through_queue
def load(local: bool, timeout: int, as_json: bool) -> None:
    """Send the TRES configuration to the offering."""
    from slurm_tasks import celery_settings as names

    if local:
        from dataclasses import asdict

        from slurm_tasks.sync import components as flow

        report = asdict(flow.load(common.local_control()))
    else:
        report = common.run(names.COMPONENTS_LOAD, "sending the components", timeout)
    if as_json:
        common.print_json(report)
        return
    for what in ("created", "updated", "unchanged"):
        click.echo(f"{what}: {', '.join(report[what]) or 'none'}")
    if report["other"]:
        click.echo(f"left alone, not in the configuration: {', '.join(report['other'])}")
    for plan, lacking in report["unpriced"].items():
        click.echo(f"without a price in the plan {plan!r}: {', '.join(lacking)}")
