"""A SLURM cluster in one folder: the executables that the service calls, over virtual jobs."""

from slurm_tasks.demo.slurm.records import Account, Fault, Invocation, Job
from slurm_tasks.demo.slurm.simulator import SlurmSimulator

__all__ = ["Account", "Fault", "Invocation", "Job", "SlurmSimulator"]
