"""`slurm-tasks flower`: Celery's dashboard, on loopback and behind a password unless told."""

import os
import sys
from pathlib import Path

import click

from slurm_tasks.cli import common

_VISIBLE = ("basic_auth", "oauth2_secret", "cookie_secret")
"""Flower's options that are secret: as arguments everybody on the machine would read them."""
_COLUMNS = "name,args,state,received,runtime,worker"


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--no-auth", is_flag=True, help="Let everybody in who reaches it.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@common.reports_errors
def flower(no_auth: bool, options: tuple[str, ...]) -> None:
    """Start Flower, Celery's dashboard; OPTIONS are Flower's own.

    Whoever gets in can end workers and start tasks, so it wants FLOWER_BASIC_AUTH or
    FLOWER_BASIC_AUTH_FILE (user:password, several separated by commas or lines), or Flower's
    OAuth. Exits with 2 without. Its /metrics and /healthcheck answer everybody all the same.
    """
    from slurm_tasks import settings

    for option in options:
        name = option.lstrip("-").partition("=")[0].replace("-", "_")
        if name in _VISIBLE:
            common.fail(
                f"{option.partition('=')[0]} would show in the list of processes; set"
                f" FLOWER_{name.upper()} instead",
                common.MISCONFIGURED,
            )
    given = settings.load(settings.Flower)
    os.environ.setdefault("FLOWER_TASKS_COLUMNS", _COLUMNS)
    os.environ |= {"FLOWER_ADDRESS": given.address, "FLOWER_PORT": str(given.port)}
    if credentials := given.credentials():
        os.environ["FLOWER_BASIC_AUTH"] = credentials
    _run(options, no_auth=no_auth)


def _run(argv: tuple[str, ...], *, no_auth: bool) -> None:
    """Let Flower read its options, from wherever it does, and start it if they keep people out."""
    from celery.bin.celery import celery
    from flower import command
    from flower.options import options
    from tornado.options import Error

    try:
        command.apply_env_options()
        command.apply_options(sys.argv[0], argv)
    except (Error, KeyError, ValueError, OSError) as error:
        common.fail(f"an option of Flower's, or a variable FLOWER_…: {error}", common.MISCONFIGURED)
    if not (options.basic_auth or options.auth or no_auth):
        common.fail(
            "Flower would let everybody in: set FLOWER_BASIC_AUTH=user:password or"
            " FLOWER_BASIC_AUTH_FILE, or say --no-auth",
            common.MISCONFIGURED,
        )
    try:
        celery.main(["-A", "slurm_tasks", "flower", *argv], prog_name=Path(sys.argv[0]).name)
    except OSError as error:
        common.fail(
            f"Flower can't listen on {options.address}:{options.port} ({error.strerror}); see"
            " FLOWER_ADDRESS, FLOWER_PORT",
            common.MISCONFIGURED,
        )
