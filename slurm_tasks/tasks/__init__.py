"""Celery's adapters: a name, a queue, limits, a retry policy, and one call of a flow each.

Modules are imported lazily by what they need: the head node's never load Waldur's client.
"""

from slurm_tasks.tasks import cluster, components, members, orders, usage

__all__ = ["cluster", "components", "members", "orders", "usage"]
