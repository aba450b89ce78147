"""The plan: what to change so that the cluster becomes as Waldur wants it.

Pure functions. An empty plan means that nothing differs; a retry, a redelivered message or a
crash between two commands is answered by planning again and doing what is left.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from slurm_tasks.errors import ForeignAccountError, PermanentError
from slurm_tasks.model import flags, names, rights, tree, tres
from slurm_tasks.model.changes import (
    AddAccount,
    AddUsers,
    CancelJobs,
    Change,
    RemoveAccount,
    RemoveUsers,
    SetBlocked,
    SetDefault,
    SetLimits,
    SetUsersBlocked,
    advance,
)
from slurm_tasks.model.cluster import Account, Cluster
from slurm_tasks.model.messages import Desired, Intent
from slurm_tasks.model.names import Kind
from slurm_tasks.model.rules import QosRules, Rules
from slurm_tasks.model.tres import UNLIMITED

__all__ = [
    "QosRules",
    "Rules",
    "account_name",
    "find",
    "plan",
    "removals",
    "with_defaults_moved",
]


def plan(desired: Desired, state: Cluster, removable: frozenset[str], rules: Rules) -> list[Change]:
    """List what has to change for one allocation, in the order in which to do it.

    Args:
        desired: the allocation as Waldur wants it.
        state: the cluster as it is.
        removable: the only users that may be removed, folded.
        rules: what the site decides.

    Raises:
        PermanentError: the wanted name belongs to something else.
    """
    account = find(desired, state, rules)
    if desired.intent is Intent.TERMINATE:
        return [
            *(_termination(account, state) if account else ()),
            *tree.emptied(account, desired, state, rules),
        ]
    if account:
        return _existing(desired, account, state, removable, rules)
    if desired.intent is Intent.MEMBERS:
        return []
    return _creation(desired, state, rules)


def _existing(
    desired: Desired, account: Account, state: Cluster, removable: frozenset[str], rules: Rules
) -> list[Change]:
    """Move an account, set its limits and flags, then its users.

    A QoS that a leaver's association stood in the way of is switched at the end.
    """
    changes = tree.moves(desired, account, state, rules) if desired.adds_users else []
    state = advance(state, changes)
    account = state.accounts[account.name]
    more = [*_settings(desired, account, state, rules)]
    more += _members(desired, account, state, removable, rules)
    state = advance(state, more)
    return [
        *changes,
        *more,
        *flags.changes(desired, state.accounts[account.name], state, rules),
    ]


def account_name(desired: Desired, state: Cluster, rules: Rules) -> str:
    """Name the allocation's account: Waldur's backend id, else the one it has, else a new name."""
    if desired.backend_id:
        return desired.backend_id
    marked = next(state.marked(Kind.ALLOCATION, desired.resource), None)
    return marked.name if marked else _new_name(desired, rules)


def find(desired: Desired, state: Cluster, rules: Rules) -> Account | None:
    """Return the allocation's account, or None when the cluster doesn't have it.

    It is ours by its marker; one without any marker (an earlier agent made such), if Waldur names
    it and it has our prefix: a message at the broker can't make another account ours.

    Raises:
        ForeignAccountError: an account of that name is there and isn't this allocation's.
    """
    name = account_name(desired, state, rules)
    if rules.protects(name):
        raise ForeignAccountError(
            f"the backend id {name!r} is an account that the service never changes; correct the"
            " backend id in Waldur"
        )
    account = state.get(name)
    if account is None and name not in state.bare:
        return None
    found = names.marker(account.description if account else state.bare[name])
    prefix = rules.prefixes.allocation
    named = found is None and bool(desired.backend_id)
    if found == (Kind.ALLOCATION, desired.resource) or (named and name.startswith(prefix)):
        return account
    if desired.intent is Intent.TERMINATE and not desired.backend_id:
        return None  # its Create order was refused for that very name: nothing of it exists
    whose = f"that of {found[0]} {found[1]}" if found else "not one of Waldur's"
    adopt = (
        f"; if it is this allocation's, say so in SLURM: sacctmgr modify account where name={name}"
        f" set description=waldur:allocation:{desired.resource}"
    )
    raise ForeignAccountError(
        f"the account {name!r} exists on cluster {state.name!r} and is {whose}; it is left alone."
        f" Rename or remove it, or set another backend id in Waldur{adopt if named else ''}"
    )


def _new_name(desired: Desired, rules: Rules) -> str:
    return names.allocation_name(rules.prefixes, desired.resource, desired.title)


def _creation(desired: Desired, state: Cluster, rules: Rules) -> list[Change]:
    changes, parent = tree.owners(desired, state, rules)
    name = account_name(desired, state, rules)
    limits = {k: v for k, v in (desired.limits or {}).items() if v != UNLIMITED}
    new = AddAccount(
        name=name,
        parent=parent,
        description=names.describe(Kind.ALLOCATION, desired.resource, desired.title),
        organization=names.owner_name(rules.prefixes, Kind.CUSTOMER, desired.customer.uuid),
        limits=limits,
    )
    made = advance(state, [*changes, new])
    return [
        *changes,
        new,
        *flags.changes(desired, made.accounts[name], made, rules),
        *_joiners(name, set(desired.users or ()), state, rules),
    ]


def _differing(desired: Desired, account: Account) -> dict[str, int]:
    return {
        name: value
        for name, value in (desired.limits or {}).items()
        if account.limits.get(name, UNLIMITED) != tres.listed(name, value)
    }


def notes(desired: Desired, account: Account) -> Iterator[str]:
    """Say which limits of the TRES configuration the account has otherwise, and keeps so."""
    if not desired.keep_limits:
        return
    for name, value in sorted(_differing(desired, account).items()):
        if name in desired.configured:
            has = account.limits.get(name, "none")
            yield (
                f"its limit of {name} is {has}, the TRES configuration says {value}"
                " TRES-minutes; it stays until the allocation's next Update, or with"
                " SLURM_LIMIT_OWNER=waldur until the next member sync"
            )


def _settings(desired: Desired, account: Account, state: Cluster, rules: Rules) -> Iterator[Change]:
    """Set the limits that differ, and what the flags want."""
    differing = _differing(desired, account)
    if differing and not desired.keep_limits:
        yield SetLimits(account.name, differing)
    yield from flags.changes(desired, account, state, rules)


def _members(
    desired: Desired, account: Account, state: Cluster, removable: frozenset[str], rules: Rules
) -> Iterator[Change]:
    if desired.users is None:
        return
    wanted = names.fold_usernames(desired.users)
    here = account.members
    if desired.adds_users:
        joiners = {wanted[name] for name in wanted.keys() - here.keys()}
        yield from _joiners(account.name, joiners, state, rules)
    may_go = removable | names.fold_usernames(desired.former).keys()
    leavers = frozenset(here[name] for name in (here.keys() & may_go) - wanted.keys())
    yield from rights.of_leavers(desired, account, leavers, state, rules)
    if rules.finish_jobs:
        yield from _hold(account, frozenset(here[name] for name in here.keys() & wanted), leavers)
    elif leavers:
        yield CancelJobs(account.name, tuple(sorted(leavers)))
    if leavers:
        yield RemoveUsers(tuple(sorted(leavers)), account.name)


def _hold(account: Account, staying: frozenset[str], leavers: frozenset[str]) -> Iterator[Change]:
    """Block job submission for leavers until their jobs end; unblock returning users."""
    groups: dict[SetUsersBlocked, list[str]] = {}
    for user in sorted(staying | leavers):
        for partition, own in account.associations_of(user).items():
            now = own.submission
            if user in staying and now.is_blocked:
                wanted = SetUsersBlocked((), account.name, now.open(), partition)
            elif user in leavers and not now.is_closed:
                wanted = SetUsersBlocked(
                    (), account.name, now.close(), partition, now.lost_by_closing()
                )
            else:
                continue
            groups.setdefault(wanted, []).append(user)
    for wanted, users in groups.items():
        yield replace(wanted, users=tuple(users))


def _joiners(name: str, joiners: set[str], state: Cluster, rules: Rules) -> Iterator[Change]:
    """Add users: those who have no default account elsewhere with one, the others without.

    Naming a default overwrites the one that a user has; a user with no association but with the
    default account itself has that one already. Without any named, SLURM makes the first account
    that a user joins the default.
    """
    default = rules.user_default
    free = {user for user in joiners if default and state.accounts_of(user) <= {default}}
    if free:
        yield AddUsers(tuple(sorted(free)), name, default=default)
    if bound := joiners - free:
        yield AddUsers(tuple(sorted(bound)), name)


def _termination(account: Account, state: Cluster) -> list[Change]:
    """Block submission, cancel the jobs, remove the users and the account."""
    if below := sorted(child.name for child in state.children(account.name)):
        raise PermanentError(
            f"the account {account.name!r} can't be removed: {', '.join(below)} on cluster"
            f" {state.name!r} are below it and weren't made by Waldur; remove them first"
        )
    changes: list[Change] = []
    if not account.submission.is_closed:
        changes.append(SetBlocked(account.name, account.submission.close()))
    changes += rights.of_all(account, state)
    changes.append(CancelJobs(account.name))
    if account.users:
        changes.append(RemoveUsers(tuple(sorted(account.users)), account.name))
    return [*changes, RemoveAccount(account.name, account.name in state.shared)]


def with_defaults_moved(
    changes: list[Change], state: Cluster, defaults: Mapping[str, str], rules: Rules
) -> list[Change]:
    """Move users' default account before the association that it points to is removed.

    Newer SLURM refuses to remove it otherwise, 22.05 leaves the user with an empty default.
    A user whose last association goes is deleted with it and needs none; 22.05 refuses to remove
    such a one together with others whose default was moved, so they go by themselves.

    Args:
        changes: a plan.
        state: the cluster that it was made for.
        defaults: default account by folded username.
        rules: the site's default account is preferred.
    """
    moved: list[Change] = []
    for change in changes:
        if isinstance(change, RemoveUsers):
            targets: dict[str, list[str]] = {}
            for user in change.users:
                others = state.accounts_of(user) - {change.account}
                default = defaults.get(names.fold_username(user))
                if default == change.account and others:
                    preferred = rules.user_default
                    target = preferred if preferred in others else min(others)
                    targets.setdefault(str(target), []).append(user)
            moved += [SetDefault(tuple(users), target) for target, users in sorted(targets.items())]
            moved += _by_what_is_left(change, state)
        else:
            moved.append(change)
    return moved


def _by_what_is_left(change: RemoveUsers, state: Cluster) -> list[RemoveUsers]:
    """Part users who keep other associations from those who lose their last one."""
    last = tuple(u for u in change.users if state.accounts_of(u) <= {change.account})
    others = tuple(user for user in change.users if user not in last)
    return [replace(change, users=users) for users in (others, last) if users]


def removals(changes: list[Change]) -> int:
    """Count what a plan takes away: accounts and users' associations."""
    return sum(
        len(change.users) if isinstance(change, RemoveUsers) else isinstance(change, RemoveAccount)
        for change in changes
    )
