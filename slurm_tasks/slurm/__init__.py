"""All that knows SLURM: the runner of its commands, the commands, and the cluster they act on."""
