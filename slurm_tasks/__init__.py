"""Keeps a SLURM cluster and a Waldur marketplace offering in step, with Celery."""

from typing import Any

from slurm_tasks.version import __version__

__all__ = ["__version__"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module's attribute is anything
    """Find the Celery application for `celery -A slurm_tasks`, without loading it for others."""
    if name in {"app", "celery"}:
        from slurm_tasks.app import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
