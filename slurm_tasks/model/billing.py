"""Who pays: the allocation whose usage the jobs of an account are."""

from collections.abc import Collection, Mapping

from slurm_tasks.model import names
from slurm_tasks.model.cluster import Account
from slurm_tasks.model.names import Kind


def payers(
    allocations: Collection[str], tree: Mapping[str, Account], others: Collection[str] = ()
) -> dict[str, str]:
    """Return the allocation that pays for an account's jobs: itself, or the one right above it.

    Accounts below an allocation are a site's own, for groups: their jobs count towards its
    GrpTRESMins, and in `sreport`, too. What another allocation has is never another one's.

    Args:
        allocations: the accounts that are asked for.
        tree: all accounts, also removed ones that have jobs on record.
        others: more accounts that are allocations, beside those that are marked as such.

    Returns:
        Allocations by account: all that were asked for, and those below them.
    """
    ends = {*others, *(name for name, account in tree.items() if _is_allocation(account))}
    found: dict[str, str | None] = {**dict.fromkeys(ends), **{name: name for name in allocations}}
    for name in tree:
        path: list[str] = []
        at: str | None = name
        while at and at not in found and at not in path:
            path.append(at)
            at = tree[at].parent if at in tree else None
        found |= dict.fromkeys(path, found.get(at) if at else None)
    return {name: payer for name, payer in found.items() if payer}


def _is_allocation(account: Account) -> bool:
    marked = names.marker(account.description)
    return marked is not None and marked[0] is Kind.ALLOCATION
