"""`slurm-tasks demo`: the whole service on embedded parts."""

import click

from slurm_tasks.cli import common

MISSING = (
    "the demo needs more packages ({}): pip install 'waldur-slurm-tasks[demo]', or `make demo`"
    " in a checkout"
)


@click.command()
@click.option(
    "--cluster",
    type=click.Choice(["auto", "simulated", "real"]),
    default="auto",
    show_default=True,
    help="auto: a real SLURM where SLURM_DEPLOYMENT_TYPE names one, else a simulated one.",
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
@click.option("--keep", is_flag=True, help="Leave everything up, with Flower, until Ctrl-C.")
@common.reports_errors
def demo(cluster: str, generation: str, users: str, submit: str, keep: bool) -> None:
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
    common.end(run.run(cluster, generation, names, submit, keep=keep))
