"""Which servers of Waldur the tests meet: a name is a generation, or a version of generation B."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from slurm_tasks.demo.waldur import DEFAULT_COMPONENTS, Component, WaldurSimulator
from slurm_tasks.demo.waldur.values import Generation

EACH: tuple[str, ...] = ("a", "b")
"""What every flow is run on."""


def simulator(
    name: str, components: Iterable[Component] = DEFAULT_COMPONENTS, *, job_delay: float = 0.0
) -> WaldurSimulator:
    """Return a server by its name: "a", "b" (some server of B), or a version of B."""
    if name in ("a", "b"):
        return WaldurSimulator(cast("Generation", name), components, job_delay=job_delay)
    return WaldurSimulator("b", components, job_delay=job_delay, version=name)
