"""The example TRES configuration: in the wheel, and at the top of a checkout."""

from importlib import resources
from pathlib import Path

FILE = "config-components.yaml"


def read() -> str:
    """Return the example's text."""
    packaged = resources.files("slurm_tasks").joinpath(FILE)
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parents[1] / FILE).read_text(encoding="utf-8")
