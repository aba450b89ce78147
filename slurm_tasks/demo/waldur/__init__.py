"""A Waldur simulator: a real HTTP server that behaves as recorded servers do."""

from slurm_tasks.demo.waldur.faults import Fault, Faults
from slurm_tasks.demo.waldur.refusals import RefusedError
from slurm_tasks.demo.waldur.server import WaldurSimulator
from slurm_tasks.demo.waldur.values import (
    DEFAULT_COMPONENTS,
    Component,
    Customer,
    Project,
    Request,
    Role,
    User,
)

__all__ = [
    "DEFAULT_COMPONENTS",
    "Component",
    "Customer",
    "Fault",
    "Faults",
    "Project",
    "RefusedError",
    "Request",
    "Role",
    "User",
    "WaldurSimulator",
]
