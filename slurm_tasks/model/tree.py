"""The tree: accounts of customers and projects above the allocations, and where each belongs."""

from collections.abc import Collection, Iterator

from slurm_tasks.errors import PermanentError
from slurm_tasks.model import names
from slurm_tasks.model.changes import AddAccount, Change, RemoveAccount, SetParent
from slurm_tasks.model.cluster import Account, Cluster
from slurm_tasks.model.messages import Desired, Owner
from slurm_tasks.model.names import Kind
from slurm_tasks.model.rules import Rules

Pairs = Collection[tuple[Kind, str]]
"""Customers and projects: kind and uuid."""


def owners(desired: Desired, state: Cluster, rules: Rules) -> tuple[list[Change], str]:
    """Plan the accounts above an allocation: add the missing ones, move a project that moved.

    Returns:
        The changes, and the name of the project's account.

    Raises:
        PermanentError: an account of that name is marked as somebody else's.
    """
    customer, above = _owner(Kind.CUSTOMER, desired.customer, rules.root, state, rules)
    project, name = _owner(Kind.PROJECT, desired.project, above, state, rules)
    moved = _project_moved(desired, state, rules, customer_planned=bool(customer))
    return [*customer, *project, *moved], name


def moves(desired: Desired, account: Account, state: Cluster, rules: Rules) -> list[Change]:
    """Hang an allocation under its project's account, and that under its customer's.

    Only what carries our marker is moved, and only from below another one's marked account: where
    a site has put it itself, it stays.

    Raises:
        PermanentError: the project's account is below the allocation's.
    """
    above = state.get(account.parent)
    found = names.marker(above.description) if above and not rules.protects(above.name) else None
    at_home = found is None or found[0] is Kind.ALLOCATION or found in _pairs(desired)
    if at_home or not account.is_marked(Kind.ALLOCATION, desired.resource):
        return _project_moved(desired, state, rules)
    changes, project = owners(desired, state, rules)
    if account.name in state.above(project):
        raise _ring(account.name, project, state)
    return [*changes, SetParent(account.name, project)]


def emptied(
    account: Account | None, desired: Desired, state: Cluster, rules: Rules
) -> Iterator[RemoveAccount]:
    """Remove what is empty without an allocation: its project's and customer's, those above it.

    Found by their markers as well, so that a termination which was cut off before is completed.
    """
    marked = [found for kind, uuid in _pairs(desired) for found in state.marked(kind, uuid)]
    tops = [*([account] if account else []), *marked]
    names_above = {name for top in tops for name in state.above(top.name)}
    candidates = {found.name for found in marked} | names_above
    yield from _remove_empty(candidates, {account.name} if account else set(), state, rules)


def unneeded(needed: Pairs, state: Cluster, rules: Rules) -> Iterator[RemoveAccount]:
    """Remove the empty accounts of customers and projects that nobody needs, wherever they are.

    Several offerings may share a customer's or a project's account: then it isn't empty. One that
    is about to make an allocation makes all of its tree in one pass, under the writer's lock.

    Args:
        needed: customers and projects of resources that exist.
        state: the cluster as it is.
        rules: what the site decides.
    """
    marked = {
        account.name
        for account in state.accounts.values()
        if (found := names.marker(account.description)) and found not in needed
    }
    yield from _remove_empty(marked, set(), state, rules)


def _remove_empty(
    candidates: Collection[str], gone: set[str], state: Cluster, rules: Rules
) -> Iterator[RemoveAccount]:
    """Remove customers' and projects' accounts among the candidates, from the bottom up."""
    below: dict[str, int] = {}
    for account in state.accounts.values():
        if account.name not in gone:
            below[account.parent] = below.get(account.parent, 0) + 1
    waiting = sorted(name for name in candidates if name in state.accounts)
    while waiting:
        name = waiting.pop(0)
        account = state.accounts[name]
        found = names.marker(account.description)
        ours = found is not None and found[0] is not Kind.ALLOCATION and not rules.protects(name)
        if ours and not account.users and not below.get(name):
            yield RemoveAccount(name, name in state.shared)
            below[name] = 1  # once
            below[account.parent] -= 1
            waiting += [account.parent] if account.parent in candidates else []


def _pairs(desired: Desired) -> Pairs:
    return ((Kind.PROJECT, desired.project.uuid), (Kind.CUSTOMER, desired.customer.uuid))


def _owner(
    kind: Kind, owner: Owner, parent: str, state: Cluster, rules: Rules
) -> tuple[list[Change], str]:
    """Plan the account of a customer or a project: what to add, and its name."""
    if existing := _existing_owner(kind, owner, state, rules):
        return [], existing.name
    name = names.owner_name(rules.prefixes, kind, owner.uuid)
    description = names.describe(kind, owner.uuid, owner.title)
    organization = name if kind is Kind.CUSTOMER else parent
    return [AddAccount(name, parent, description, organization)], name


def _existing_owner(kind: Kind, owner: Owner, state: Cluster, rules: Rules) -> Account | None:
    """Return the account of a customer or a project.

    One without any marker (the old agent made such) serves as a parent, and only as that: its
    name holds the whole uuid, so it is the right one, but it is never changed or removed.
    """
    if marked := next(state.marked(kind, owner.uuid), None):
        return marked
    name = names.owner_name(rules.prefixes, kind, owner.uuid)
    account = state.get(name)
    description = account.description if account else state.bare.get(name, "")
    if names.marker(description) not in {None, (kind, owner.uuid)}:
        raise PermanentError(
            f"the account {name!r} on cluster {state.name!r} should be that of {kind}"
            f" {owner.uuid}, but is marked as {description!r}; correct its description"
        )
    return account


def _project_moved(
    desired: Desired, state: Cluster, rules: Rules, *, customer_planned: bool = False
) -> list[Change]:
    """Re-parent a project's account when it hangs under another customer's: ours only."""
    project = next(state.marked(Kind.PROJECT, desired.project.uuid), None)
    above = state.get(project.parent) if project else None
    found = names.marker(above.description) if above else None
    if not project or not found or found[0] is not Kind.CUSTOMER:
        return []
    if found[1] == desired.customer.uuid or rules.protects(project.name):
        return []
    added, name = _owner(Kind.CUSTOMER, desired.customer, rules.root, state, rules)
    if project.name in state.above(name):
        raise _ring(project.name, name, state)
    return [*([] if customer_planned else added), SetParent(project.name, name)]


def _ring(name: str, parent: str, state: Cluster) -> PermanentError:
    return PermanentError(
        f"the account {parent!r} should stand above {name!r} on cluster {state.name!r}, but stands"
        " below it; move it (sacctmgr modify account … set parent=)"
    )
