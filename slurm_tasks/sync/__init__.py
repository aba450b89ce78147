"""The flows: plain functions over the model, SLURM and Waldur, that a test calls without Celery."""
