"""What `configuration/` says: a recorded server's public settings, kept in a file beside this."""

import json
from functools import cache
from importlib.resources import files
from typing import cast

from slurm_tasks.demo.waldur.values import Json

RECORDED_HOST = "https://waldur.example.com/api/"


@cache
def configuration(url: str) -> Json:
    """Return the settings of a server at an address."""
    text = files(__package__).joinpath("configuration.json").read_text(encoding="utf-8")
    return cast("Json", json.loads(text.replace(RECORDED_HOST, url)))
