"""The head node's part of `slurm-tasks check`: reads only."""

from collections.abc import Iterator

from slurm_tasks.errors import CommandError, ConfigurationError, SlurmTasksError
from slurm_tasks.model.findings import Finding, failed, ok, warning
from slurm_tasks.sync.cluster import HeadNode

SLURM, ACCOUNT, TRES, LIMITS = "SLURM", "default account", "TRES", "limits"


def findings(node: HeadNode, tres: tuple[str, ...]) -> Iterator[Finding]:
    """Look at the cluster: reachable, root of the tree, billed TRES, enforcement of limits.

    Args:
        node: the head node's side.
        tres: the TRES that the configuration bills.
    """
    try:
        state = node.cluster.read()
    except SlurmTasksError as error:
        yield failed(SLURM, f"{error}. Check SLURM_DEPLOYMENT_TYPE, SLURM_BIN_DIR, SLURM_CONF")
        return
    yield ok(SLURM, f"cluster {state.name!r} with {len(state.accounts)} accounts")
    try:
        node.cluster.require(node.rules.accounts, state)
        yield ok(ACCOUNT, f"{', '.join(sorted(node.rules.accounts))} on the cluster")
    except ConfigurationError as error:
        yield failed(ACCOUNT, str(error))
    yield from _tres(node, tres)
    yield from _limits(node)


def _tres(node: HeadNode, tres: tuple[str, ...]) -> Iterator[Finding]:
    try:
        known = node.cluster.tres()
    except SlurmTasksError as error:
        yield failed(TRES, str(error))
        return
    if unknown := sorted(set(tres) - known):
        yield failed(
            TRES,
            f"the cluster has no {', '.join(unknown)}; add it to AccountingStorageTRES in"
            f" slurm.conf, or correct the TRES configuration. Known: {', '.join(sorted(known))}",
        )
    else:
        yield ok(TRES, f"the cluster has {', '.join(tres) or 'none of them to bill'}")


def _limits(node: HeadNode) -> Iterator[Finding]:
    try:
        config = node.cluster.config()
    except CommandError as error:
        yield warning(LIMITS, f"slurmctld can't be asked whether limits are enforced: {error}")
        return
    enforced = config.get("AccountingStorageEnforce", "").lower()
    if "limits" in enforced or "safe" in enforced:
        yield ok(LIMITS, f"AccountingStorageEnforce={enforced}")
    else:
        yield warning(
            LIMITS,
            f"AccountingStorageEnforce={enforced or 'none'}: SLURM enforces no limits; set it to"
            " associations,limits in slurm.conf",
        )
