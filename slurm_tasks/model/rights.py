"""Coordinators: who is removed from an account must not add himself, or others, again.

slurmdbd keeps a coordinator's right when the association goes. A right to an account is one to all
accounts below it; a listing names coordinators of both kinds.
"""

from collections.abc import Iterator

from slurm_tasks.model import names
from slurm_tasks.model.changes import RemoveCoordinators
from slurm_tasks.model.cluster import Account, Cluster
from slurm_tasks.model.messages import Desired
from slurm_tasks.model.names import Kind
from slurm_tasks.model.rules import Rules


def of_leavers(
    desired: Desired, account: Account, leavers: frozenset[str], state: Cluster, rules: Rules
) -> Iterator[RemoveCoordinators]:
    """Take rights to an allocation's account from users who leave it.

    Rights to its project's and its customer's account (by their markers) go as well, unless the
    user has another association below that. Other rights are the site's.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for user in sorted(_coordinating(account, leavers)):
        accounts = _to_take(user, account, _chain(desired, account, state, rules), state)
        if accounts:
            groups.setdefault(accounts, []).append(user)
    for accounts, users in sorted(groups.items()):
        yield RemoveCoordinators(tuple(users), accounts)


def of_all(account: Account, state: Cluster) -> Iterator[RemoveCoordinators]:
    """Take all rights to an account that is about to be removed; it may be made again."""
    above = state.get(account.parent)
    own = account.coordinators - (above.coordinators if above else frozenset())
    if own:
        yield RemoveCoordinators(tuple(sorted(own)), (account.name,))


def that_stay(
    desired: Desired, account: Account, leavers: frozenset[str], state: Cluster, rules: Rules
) -> list[str]:
    """Name the leavers who keep a right to their account by one to an account above it."""
    chain = _chain(desired, account, state, rules)
    users = _coordinating(account, leavers)
    return sorted(user for user in users if not _to_take(user, account, chain, state))


def _coordinating(account: Account, users: frozenset[str]) -> frozenset[str]:
    return account.coordinators - names.other_usernames(account.coordinators, users)


def _chain(desired: Desired, account: Account, state: Cluster, rules: Rules) -> tuple[str, ...]:
    """Return the accounts above an allocation that are its project's and its customer's."""
    pairs = ((Kind.PROJECT, desired.project.uuid), (Kind.CUSTOMER, desired.customer.uuid))
    return tuple(
        name
        for name in state.above(account.name)
        if (above := state.get(name))
        and any(above.is_marked(kind, uuid) for kind, uuid in pairs)
        and not rules.protects(name)
    )


def _to_take(
    user: str, account: Account, chain: tuple[str, ...], state: Cluster
) -> tuple[str, ...]:
    """Return the accounts to which a right has to go; none where one above them stays anyway."""
    elsewhere = state.accounts_of(user) - {account.name}
    taken = [account.name]
    for name in state.above(account.name):
        above = state.get(name)
        if above is None or user not in above.coordinators:
            break
        kept = any(name in (other, *state.above(other)) for other in elsewhere)
        if kept or name not in chain:
            return ()
        taken.append(name)
    return tuple(taken)
