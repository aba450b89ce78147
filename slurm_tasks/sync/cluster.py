"""The head node's side: reconcile allocations with the cluster."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import structlog

from slurm_tasks import metrics
from slurm_tasks.errors import (
    FailedReadError,
    ForeignAccountError,
    GuardError,
    JobsActiveError,
    PermanentError,
    TransientError,
)
from slurm_tasks.model import flags, guard, names, rights, tree
from slurm_tasks.model import plan as planning
from slurm_tasks.model.changes import AddUsers, Change, RemoveAccount, RemoveUsers, SetDefault
from slurm_tasks.model.cluster import Cluster
from slurm_tasks.model.messages import (
    Desired,
    Intent,
    Outcome,
    ReconcileReport,
    ReconcileRequest,
    Status,
)
from slurm_tasks.model.names import Kind
from slurm_tasks.model.plan import Rules, account_name, plan, removals, with_defaults_moved
from slurm_tasks.slurm.cluster import SlurmCluster
from slurm_tasks.slurm.lock import Writer, WriterLock
from slurm_tasks.sync import in_force, qos_rules
from slurm_tasks.sync.item import Item
from slurm_tasks.sync.measure import measure_allocation
from slurm_tasks.sync.unix_users import UnixUsers

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class HeadNode:
    """What the head node's side needs.

    Attributes:
        cluster: the cluster's commands.
        lock: takes the writer's lock.
        rules: names, the tree's root, users' default account.
        read_only: every write becomes a logged plan.
        unix_users: whether users are added only if the head node knows them.
        homes: whether users get a home directory before they are added.
    """

    cluster: SlurmCluster
    lock: WriterLock
    rules: Rules
    read_only: bool = False
    unix_users: bool = False
    homes: bool = False


class _Pass:
    """One reconciliation: the items, and the state of the cluster as far as it is known."""

    def __init__(self, request: ReconcileRequest, node: HeadNode) -> None:
        self._request, self._node = request, node
        self._items = [Item(desired) for desired in request.items]
        self._defaults: dict[str, str] | None = None
        self._unix = UnixUsers(node.cluster)
        self._state = self._read()
        self._rules = qos_rules.effective(node.cluster, node.rules, request.items)
        if node.unix_users or node.homes:
            self._unix.resolve(self._joiners())
        self._tidied: list[RemoveAccount] = []
        self.writes = 0

    def _read(self) -> Cluster:
        state = self._node.cluster.read()
        self._node.cluster.require(self._node.rules.accounts, state)
        return state

    def _joiners(self) -> dict[str, list[Item]]:
        """Return who is to be added, with the items that they are to be added to."""
        found: dict[str, list[Item]] = {}
        for item in self._items:
            name = account_name(item.desired, self._state, self._node.rules)
            account = self._state.get(name)
            present = account.users if account else frozenset()
            for user in names.other_usernames(item.desired.users or (), present):
                found.setdefault(user, []).append(item)
        return found

    def _plan(self, item: Item) -> list[Change]:
        """Plan one item against the state; a refusal settles it."""
        try:
            changes = plan(item.wanted, self._state, self._request.removable_users, self._rules)
            if not item.account:
                item.account = account_name(item.desired, self._state, self._node.rules)
                item.ours = self._is_known(item.desired)
            if item.desired.intent is Intent.MEMBERS and item.account not in self._state.accounts:
                item.settle(Status.MISSING, self._missing(item.desired))
        except PermanentError as error:
            if isinstance(error, ForeignAccountError):
                metrics.messages_refused.labels("foreign_account").inc()
            item.settle(Status.REFUSED, error)
            return []
        return changes

    def _is_known(self, desired: Desired) -> bool:
        """Tell whether the account is this allocation's, and not one that has its name."""
        marked = self._state.marked(Kind.ALLOCATION, desired.resource)
        return bool(desired.backend_id) or any(marked)

    def _missing(self, desired: Desired) -> str:
        return (
            f"Waldur names the account {desired.backend_id!r}, and cluster {self._state.name!r}"
            " doesn't have it; `slurm-tasks apply` makes it again"
        )

    def guard(self) -> None:
        """Settle what the guard stops: nothing of it is changed."""
        items = tuple(item.desired for item in self._items)
        plans = [(item, self._plan(item)) for item in self._items]
        try:
            guard.check_cluster(items, self._state)
        except GuardError as error:
            metrics.guard_stops.labels("cluster").inc()
            for item in self._items:
                if item.desired.intent in {Intent.UPDATE, Intent.MEMBERS}:
                    item.settle(Status.STOPPED, error)
        try:
            guard.check_removals(
                [(item.desired, changes) for item, changes in plans],
                self._state,
                self._request.allow_removals,
            )
        except GuardError as error:
            metrics.guard_stops.labels("removals").inc()
            for item, changes in plans:
                if not item.desired.expects_removals and removals(changes):
                    item.settle(Status.STOPPED, error)

    def carry_out(self, writer: Writer | None) -> None:
        """Apply (or, without a writer, only foresee) what each open item needs."""
        for item in self._items:
            with item.in_log():
                if item.open:
                    self._attempt(item, writer)

    def _attempt(self, item: Item, writer: Writer | None) -> None:
        try:
            self._carry_out(item, writer)
        except (PermanentError, ValueError) as error:  # ValueError: a name that we never pass on
            item.settle(Status.REFUSED, error)
        except TransientError as error:
            item.settle(Status.DEFERRED, error)

    def _carry_out(self, item: Item, writer: Writer | None) -> None:
        planned = self._plan(item)  # again: an item before it may have made the project's account
        leavers = [change for change in planned if isinstance(change, RemoveUsers)]
        if leavers:
            self._warn_of_rights(item, leavers)
            defaults = self._known_defaults()
            planned = with_defaults_moved(planned, self._state, defaults, self._node.rules)
        for change in self._steps(item, planned, writer):
            if writer and not self._may_be_removed(item, change):
                return
            item.changes.append(change)
            if writer and not self._apply(item, change, writer):
                continue
            self._state = change.advance(self._state)
            if isinstance(change, SetDefault):
                users = map(names.fold_username, change.users)
                self._known_defaults().update(dict.fromkeys(users, change.account))

    def _warn_of_rights(self, item: Item, changes: list[RemoveUsers]) -> None:
        """Say which leavers could add themselves again: the site gave them a right above."""
        for change in changes:
            account, leavers = self._state.accounts[change.account], frozenset(change.users)
            users = rights.that_stay(item.desired, account, leavers, self._state, self._rules)
            if users:
                log.warning("coordinator_stays", account=account.name, users=users)

    def _steps(self, item: Item, planned: list[Change], writer: Writer | None) -> Iterator[Change]:
        """Yield a plan's changes: homes are made before, who may finish jobs leaves alone."""
        for change in planned:
            if isinstance(change, AddUsers) and writer and self._node.homes:
                self._unix.make_homes(item, change.users, writer)
                users = tuple(user for user in change.users if user not in item.waiting)
                if users:
                    yield replace(change, users=users)
            elif isinstance(change, RemoveUsers) and self._may_finish(item):
                yield from (replace(change, users=(user,)) for user in change.users)
            else:
                yield change

    def _may_finish(self, item: Item) -> bool:
        return self._node.rules.finish_jobs and item.desired.intent is not Intent.TERMINATE

    def _apply(self, item: Item, change: Change, writer: Writer) -> bool:
        """Carry out one change; False if it has to wait until somebody's jobs have ended."""
        try:
            count, said = self._node.cluster.apply(change, writer)
        except JobsActiveError:
            if not isinstance(change, RemoveUsers) or not self._may_finish(item):
                raise
            count, said = 1, f"{', '.join(change.users)} still has jobs in {change.account}"
            item.said.append(said)
            self.writes += count
            return False
        self.writes += count
        item.said += [said] if said else []
        return True

    def _known_defaults(self) -> dict[str, str]:
        if self._defaults is None:
            found = self._node.cluster.defaults()
            self._defaults = {names.fold_username(user): found[user] for user in found}
        return self._defaults

    def tidy(self, writer: Writer | None) -> None:
        """Remove empty accounts of customers and projects that no resource needs any more."""
        if not self._request.tidy or any(item.status is Status.STOPPED for item in self._items):
            return
        standing = [i.desired for i in self._items if i.desired.intent is not Intent.TERMINATE]
        needed = {(Kind.PROJECT, item.project.uuid) for item in standing}
        needed |= {(Kind.CUSTOMER, item.customer.uuid) for item in standing}
        for change in tree.unneeded(needed, self._state, self._node.rules):
            try:
                self.writes += self._node.cluster.apply(change, writer)[0] if writer else 0
            except TransientError as error:  # the next pass tries again
                log.warning("account_not_removed", account=change.name, reason=str(error))
                return
            self._tidied.append(change)
            self._state = change.advance(self._state)

    def verify(self) -> None:
        """Read back: only that is the truth, not an exit code."""
        if self.writes:
            self._state = self._read()
        for item in self._items:
            if item.open and (left := self._plan(item)):
                said = f"; SLURM said: {' '.join(item.said)}" if item.said else ""
                text = f"the cluster did not take it: {'; '.join(map(str, left))}{said}"
                item.settle(Status.DEFERRED, text)

    def measure(self) -> None:
        """Measure what terminated allocations used whose accounts were gone before."""
        for item in self._items:
            if item.open and self._is_unmeasured(item):
                try:
                    with item.in_log():
                        self._measure(item)
                except TransientError as error:
                    item.settle(Status.DEFERRED, error)

    def _is_unmeasured(self, item: Item) -> bool:
        return item.ours and bool(item.desired.periods) and not item.measured

    def _measure(self, item: Item) -> None:
        cluster = self._node.cluster
        item.measured = measure_allocation(cluster, item.account, item.desired, self._state)

    def _may_be_removed(self, item: Item, change: Change) -> bool:
        """Measure an allocation before its account goes: what slurmctld counts of it goes, too.

        Its jobs have ended, or its users could not have been removed.
        """
        if change != RemoveAccount(item.account, item.account in self._state.shared):
            return True
        try:
            if self._is_unmeasured(item):
                self._measure(item)
        except FailedReadError as error:
            item.settle(Status.DEFERRED, error)
            return False
        except TransientError as error:  # it is measured afterwards
            log.warning("not_measured_yet", reason=str(error))
        return True

    def watch(self) -> None:
        """Look whether slurmctld acts by what there is of accounts that needed no change.

        Only where the whole offering is seen, as an order's end is not to wait for slurmctld.
        What was changed just now is on its way; the next pass looks at it.
        """
        accounts = {item.account for item in self._items if item.open and not item.changes}
        if accounts and self._whole_offering:
            in_force.watch(self._node.cluster, self._state, accounts)

    @property
    def _whole_offering(self) -> bool:
        return not any(item.desired.order for item in self._items)

    def report(self, applied: Status) -> ReconcileReport:
        """Say what became of every item."""
        outcomes = tuple(self._outcome(item, applied) for item in self._items)
        self._count_waiting()
        for item in self._items:
            self._warn(item)
        self._count_drift()
        for outcome in outcomes:
            level = "info" if outcome.status is Status.APPLIED else "warning"
            if outcome.changes or outcome.message:
                getattr(log, level)(
                    "reconciled", **outcome.model_dump(mode="json", exclude={"usage"})
                )
        tidied = tuple(map(str, self._tidied))
        if tidied:
            log.info("empty_accounts_removed", changes=tidied, status=applied)
        return ReconcileReport(
            cluster=self._state.name,
            outcomes=outcomes,
            tidied=tidied,
            writes=self.writes,
            marked=self._marked() if self._request.dry_run and self._whole_offering else {},
        )

    def _marked(self) -> dict[str, str]:
        """Return the allocations' accounts that nobody asked for, with their resources."""
        asked = {item.desired.resource for item in self._items}
        markers = ((a.name, names.marker(a.description)) for a in self._state.accounts.values())
        return {
            name: found[1]
            for name, found in markers
            if found and found[0] is Kind.ALLOCATION and found[1] not in asked
        }

    def _count_drift(self) -> None:
        """Count the changes that the cluster needed although no order asked for them."""
        drift = [c for item in self._items if not item.desired.order for c in item.changes]
        if not self._request.dry_run:
            for change in (*drift, *self._tidied):
                metrics.drift_found.labels(type(change).__name__).inc()

    def _count_waiting(self) -> None:
        """Tell the metrics who waits, where the whole offering is seen."""
        if not self._whole_offering:
            return
        waiting = [user for item in self._items for user in item.waiting]
        homeless = sum(user in self._unix.homeless for user in waiting)
        metrics.users_waiting.labels(reason="no_home").set(homeless)
        metrics.users_waiting.labels(reason="no_unix_user").set(len(waiting) - homeless)

    def _warn(self, item: Item) -> None:
        """Say what an operator should know although it keeps nothing from being done."""
        if item.waiting:
            log.warning("users_waiting", account=item.account, users=item.waiting)
        account = self._state.get(item.account)
        obstacle = (
            flags.obstacle(item.desired, account, self._state, self._rules) if account else ""
        )
        if obstacle:
            log.warning("downscaled_ignored", account=item.account, reason=obstacle)

    def _outcome(self, item: Item, applied: Status) -> Outcome:
        account = self._state.get(item.account)
        return Outcome(
            resource=item.desired.resource,
            order=item.desired.order,
            account=item.account,
            status=applied if item.open else item.status,
            message=item.message,
            changes=tuple(map(str, item.changes)),
            notes=tuple(planning.notes(item.desired, account)) if account and item.open else (),
            limits=dict(account.limits) if account else {},
            users=tuple(sorted(account.users)) if account else (),
            waiting=item.waiting,
            usage=item.measured.of(item.account) if item.measured else (),
            unconfirmed=item.measured.unconfirmed if item.measured else (),
        )


def reconcile(request: ReconcileRequest, node: HeadNode) -> ReconcileReport:
    """Bring allocations on the cluster to what Waldur wants: read, plan, apply, read back.

    One bad item does not stop the others. Nothing is written when nothing differs.

    Raises:
        TransientError: the cluster could not be read, or somebody else writes at the moment.
        ConfigurationError: the cluster lacks SLURM_DEFAULT_ACCOUNT.
    """
    if request.dry_run or node.read_only:
        foreseen = _Pass(request, node)
        foreseen.guard()
        foreseen.carry_out(None)
        foreseen.tidy(None)
        return foreseen.report(Status.PLANNED)
    with node.lock() as writer:
        running = _Pass(request, node)
        running.guard()
        running.carry_out(writer)
        running.tidy(writer)
        running.verify()
    running.measure()
    running.watch()
    return running.report(Status.APPLIED)
