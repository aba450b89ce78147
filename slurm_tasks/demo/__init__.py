"""Simulators of Waldur and of SLURM, and the demo that shows the whole service on them."""
