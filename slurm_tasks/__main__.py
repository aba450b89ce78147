"""`python -m slurm_tasks` is `slurm-tasks`."""

from slurm_tasks.cli import main

if __name__ == "__main__":
    main(prog_name="slurm-tasks")
