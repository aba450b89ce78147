"""`slurm-tasks demo`: the whole service on embedded parts."""

import sys

import click

from slurm_tasks.cli import common

MISSING = (
    "the demo needs more packages ({}): pip install 'waldur-slurm-tasks[demo]', or `make demo`"
    " in a checkout"
)


@click.command()
@click.option(
    "--cluster",
    type=click.Choice(["simulated", "real"]),
    default="simulated",
    show_default=True,
    help="real: the cluster that the environment names, after its name was confirmed.",
)
@click.option(
    "--generation",
    type=click.Choice(["a", "b"]),
    default="b",
    show_default=True,
    help="Of Waldur's API: a is a server of 2024, b a current one.",
)
@click.option(
    "--users",
    default="alice,bob,carol",
    show_default=True,
    help="Three Unix users of a real cluster.",
)
@click.option(
    "--submit",
    default="runuser -u {user} -- {bin_dir}/sbatch",
    show_default=True,
    help="How a job is submitted as one of them.",
)
@click.option("--yes", is_flag=True, help="Write to the real cluster without asking, for scripts.")
@click.option("--keep", is_flag=True, help="Leave everything up, with Flower, until Ctrl-C.")
@common.reports_errors
def demo(cluster: str, generation: str, users: str, submit: str, yes: bool, keep: bool) -> None:
    """Show the service at work: a broker, a Waldur, a cluster, beat and both workers.

    Researchers order, jobs run, limits and people change, an allocation ends. Exits with 0 only
    if Waldur and SLURM hold the same in the end; everything is stopped and removed then.
    """
    try:
        from slurm_tasks.demo import run
    except ModuleNotFoundError as error:
        common.fail(MISSING.format(error.name))
    names = tuple(name.strip().lower() for name in users.split(","))
    if len(names) != 3:  # noqa: PLR2004 - the story has three people
        common.fail("--users: name three, separated by commas", common.MISCONFIGURED)
    common.quiet_logs()
    choices = run.Choices(cluster, generation, names, submit, keep=keep)
    common.end(run.run(choices, _confirm if not yes else None))


def _confirm(name: str, how: str) -> None:
    """Have a person type the cluster's name; ends this process if they don't."""
    click.echo(
        f"The demo creates accounts and users on the cluster {name!r} ({how}), submits and cancels"
        " jobs there, and removes all of it again.",
        err=True,
    )
    if not sys.stdin.isatty():
        common.fail("nobody can confirm that here; use --yes", common.MISCONFIGURED)
    if click.prompt("Type its name to go on", default="", show_default=False, err=True) != name:
        common.fail("that isn't its name; nothing was changed", common.MISCONFIGURED)
