"""`slurm-tasks health`: does this worker or beat live; for probes, so it imports little."""

from pathlib import Path

import click

from slurm_tasks.cli import common


@click.command()
@click.option(
    "--file",
    "path",
    envvar="HEARTBEAT_FILE",
    show_envvar=True,
    required=True,
    type=click.Path(path_type=Path),
    help="The heartbeat of the process.",
)
@click.option(
    "--max-age",
    default=60,
    show_default=True,
    type=click.IntRange(min=1),
    help="Seconds since the last one.",
)
@click.option("--ready", is_flag=True, help="It must be connected to the broker, too.")
def health(path: Path, max_age: int, ready: bool) -> None:
    """Tell whether a worker or beat lives: its main loop has renewed its file of late.

    Asks neither the broker nor Waldur nor SLURM, so a failing one restarts nothing; that is what
    --ready is for, and `slurm-tasks check`. Exits with 1 when it doesn't live.
    """
    from slurm_tasks import heartbeat

    try:
        state, age = heartbeat.look(path)
    except OSError as error:
        common.fail(
            f"no heartbeat in {path} ({error.strerror}): did it start, with HEARTBEAT_FILE?"
        )
    said = f"{state}, {age:.0f} s ago"
    if age > max_age:
        common.fail(f"the last heartbeat is too old: {said}")
    if ready and state != heartbeat.READY:
        common.fail(f"it lives, but isn't ready: {said}")
    click.echo(said)
