"""The README names everything that there is to know the name of."""

from pathlib import Path

import pytest

import slurm_tasks.tasks  # noqa: F401 - declares the tasks
from slurm_tasks import settings_view
from slurm_tasks.app import app

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("variable", [setting.variable for setting in settings_view.describe({})])
def test_every_setting_is_described(variable: str) -> None:
    """A setting that the README lacks can't be found."""
    assert f"`{variable}`" in README


@pytest.mark.parametrize("task", sorted(name for name in app.tasks if name.startswith("slurm_")))
def test_every_task_is_described(task: str) -> None:
    """A task that the README lacks can't be understood in Flower."""
    assert task.removeprefix("slurm_tasks.") in README
