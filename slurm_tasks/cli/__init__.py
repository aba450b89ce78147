"""The shell: `slurm-tasks …`. Commands import what they need when they run: `--help` is instant."""

import click

from slurm_tasks.cli.check import check
from slurm_tasks.cli.components import components
from slurm_tasks.cli.demo import demo
from slurm_tasks.cli.flower import flower
from slurm_tasks.cli.health import health
from slurm_tasks.cli.members import members
from slurm_tasks.cli.orders import orders
from slurm_tasks.cli.plan import apply, plan
from slurm_tasks.cli.settings import settings
from slurm_tasks.cli.usage import usage
from slurm_tasks.version import __version__


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="slurm-tasks")
def main() -> None:
    """Keep a SLURM cluster and a Waldur marketplace offering in step.

    Commands go through the queue to the workers and wait for what becomes of them; with --local
    they run in this process. Workers and beat are Celery's: `celery -A slurm_tasks …`.
    """


COMMANDS = (check, health, orders, plan, apply, usage, members, components, settings, flower, demo)
for command in COMMANDS:
    main.add_command(command)
