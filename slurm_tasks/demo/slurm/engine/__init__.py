"""What runs inside the simulated executables: standard library only, for a start-up of ~30 ms.

It is imported by itself (`engine`), never through `slurm_tasks`, and does without `typing`,
`dataclasses` and `pathlib`, which together would double the start-up.
"""
