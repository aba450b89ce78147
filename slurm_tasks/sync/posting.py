"""Posting: usage goes to Waldur, each resource by itself, and never to another month."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus

import structlog

from slurm_tasks import metrics
from slurm_tasks.errors import WaldurRefusedError
from slurm_tasks.model import limit_amounts, usage
from slurm_tasks.sync import months, parts, terms
from slurm_tasks.sync.control import Control
from slurm_tasks.sync.differences import Difference
from slurm_tasks.sync.months import Place
from slurm_tasks.sync.posted import Posted, Refusal
from slurm_tasks.waldur.capabilities import Dates
from slurm_tasks.waldur.transport import ServerFaultError
from slurm_tasks.waldur.usages import is_about

log = structlog.stdlib.get_logger(__name__)


@dataclass
class Run:
    """A push under way.

    Attributes:
        control: the control side.
        measured_at: when the cluster was measured.
        done: what became of what was posted so far.
    """

    control: Control
    measured_at: datetime
    done: Posted = field(default_factory=Posted)
    _terms: terms.Terms | None = None

    @property
    def terms(self) -> terms.Terms:
        """The offering's components, read when they are needed first."""
        if self._terms is None:
            self._terms = terms.read(self.control)
        return self._terms


def post(control: Control, wanted: Iterable[Difference], measured_at: datetime) -> Posted:
    """Post differences, totals before users; a refusal of one doesn't stop the others.

    Nor does one that Waldur fails at (500), as long as it takes another.

    Raises:
        WaldurError: Waldur is away; what is left differs the next time, too.
    """
    run = Run(control, measured_at)
    fault: ServerFaultError | None = None
    for difference in wanted:
        try:
            _post(run, difference)
        except ServerFaultError as error:
            fault = error
            run.done.refused.append(Refusal(difference, str(error), final=False))
    if fault and not run.done.posted:
        raise fault
    run.done.refused += parts.post(control, run.done.posted)
    return run.done


def _post(run: Run, difference: Difference) -> None:
    """Post one difference to its month, if that can be named to Waldur."""
    dates = run.control.waldur.server.capabilities.dates
    match months.place(run.control, difference.month):
        case Place.CURRENT:
            _post_total(run, difference, "")
        case Place.PAST if dates is Dates.ALL:
            _post_total(run, difference, months.last_day(difference.month))
        case Place.PAST:
            _post_past(run, difference, dates)
        case Place.ENDING if dates is not Dates.NONE:
            _post_total(run, difference, months.last_day(difference.month))
        case _:
            log.info("usage_waits", account=difference.account, month=difference.month)
            run.done.later.append(difference)


def _post_past(run: Run, difference: Difference, dates: Dates) -> None:
    """Post what Waldur takes of a month that is over there, and note what it doesn't.

    Newer servers take limit-based components, and refuse a report with any other.
    """
    components = run.control.components
    late = {
        name
        for name in difference.new
        if dates is Dates.NONE or components[name].accounting_type != "limit"
    }
    missed = difference.only(late)
    if missed.changed or (missed.users and run.control.waldur.server.capabilities.parts_by_date):
        over = usage.month(difference.month, run.control.zone).end <= run.measured_at.timestamp()
        (run.done.missed if over else run.done.later).append(missed)
    rest = difference.only({*difference.new} - late)
    if dates is not Dates.NONE and (rest.changed or rest.users):
        _post_total(run, rest, months.last_day(difference.month))
    elif not run.control.waldur.server.capabilities.parts_by_date:
        unchanged = difference.only(
            {name for name, amount in difference.new.items() if difference.had(name) == amount}
        )
        _keep_users(run, unchanged)  # booked to the total that the path names, whatever its month


def _post_total(run: Run, difference: Difference, date: str) -> None:
    """Post a resource's usage of a month: every component, the server forgets those left out."""
    if not difference.due and not difference.changed:
        _keep_users(run, difference)
        return
    difference = _without_refused(run, _without_unbilled(run, difference))
    caps = terms.caps(run.control, run.terms, difference)
    wanted = limit_amounts.reports(difference.old, difference.new, caps)
    difference = _without_exceeding(run, difference, wanted)
    if not wanted.amounts or not (difference.due or difference.changed):
        _keep_users(run, difference)
        return
    try:
        _set(run.control, difference.resource, wanted, date)
    except WaldurRefusedError as error:
        _refused(run, difference, date, error)
        return
    _note(run, difference)


def _set(control: Control, resource: str, wanted: limit_amounts.Reports, date: str) -> None:
    """Set totals, after lower ones where the server counts what it replaces."""
    usages = control.waldur.usages
    if not wanted.first:
        usages.set_totals(resource, wanted.amounts, date)
        return
    usages.set_totals(resource, wanted.first, date)
    try:
        usages.set_totals(resource, wanted.amounts, date)
    except WaldurRefusedError:  # unlike what we know of its limits
        usages.set_totals(resource, wanted.restored, date)
        raise


def _keep_users(run: Run, difference: Difference) -> None:
    """Let users' parts be posted of totals that Waldur has already."""
    if difference.users:
        run.done.posted.append(difference)


def _note(run: Run, difference: Difference) -> None:
    run.done.posted.append(difference)
    metrics.usage_posted.labels("usage").inc()
    log.info("usage_posted", **difference.dump())


def _without_unbilled(run: Run, difference: Difference) -> Difference:
    """Leave out components for which Waldur takes no usage: they would spoil the report."""
    kept = run.terms.reported(difference.new)
    left = sorted({*difference.new} - {*kept})
    if left:
        names = ", ".join(left)
        reason = f"{names}: the offering bills no usage of it; `slurm-tasks check` says what to do"
        run.done.refused.append(Refusal(difference, reason, final=True))
    return difference.only(kept)


def _without_refused(run: Run, difference: Difference) -> Difference:
    """Leave out components that Waldur refused in an earlier report of the same month."""
    known = run.control.refusals.of(difference.resource, difference.month)
    if known is None:
        return difference
    run.done.refused.append(Refusal(difference, known.reason, final=True))
    return difference.only({*difference.new} - known.components)


def _without_exceeding(
    run: Run, difference: Difference, wanted: limit_amounts.Reports
) -> Difference:
    """Leave out amounts that are over a component's `limit_amount`: Waldur keeps what it has."""
    for name, amount in sorted(wanted.over.items()):
        limit = run.terms.components[name].limit_amount
        reason = f"{name}: {amount} exceeds limit_amount {limit}; Waldur keeps what it has"
        run.done.refused.append(Refusal(difference, reason, final=True))
    kept = replace(difference, new=dict(wanted.amounts))
    return kept.only({*difference.new} - {*wanted.over}, totals={*wanted.amounts})


def _refused(run: Run, difference: Difference, date: str, error: WaldurRefusedError) -> None:
    """Make the best of a report that Waldur refused."""
    if any("closed" in message.lower() for message in error.messages):
        log.info("usage_month_closed", account=difference.account, month=difference.month)
        run.done.closed.append(difference)
        return
    dated = date and is_about(error, "date") and _learn(run.control, difference.month, error)
    if dated or (_exceeds(error) and _counts_more(run.control, error)):
        _post(run, difference)
    else:
        _post_singly(run, difference, date, error)


def _learn(control: Control, month: str, error: WaldurRefusedError) -> bool:
    """Learn from a refused date which dates this server takes; tells whether that was news."""
    server = control.waldur.server
    said = " ".join(error.messages).lower()
    if server.capabilities.dates is Dates.NONE:
        return False
    if months.place(control, month) is Place.ENDING and "limit-based" in said:
        server.turned = months.following(control, month)
        log.info("month_has_turned", month=server.turned, reason=str(error))
    else:
        server.correct(str(error), dates=Dates.NONE)
    return True


def _exceeds(error: WaldurRefusedError) -> bool:
    return any("exceeds limit" in message for message in error.messages)


def _counts_more(control: Control, error: WaldurRefusedError) -> bool:
    """Learn that this server counts what it replaces for every period; tells whether it is news."""
    every = frozenset({"month", "quarterly", "annual", "total"})
    server = control.waldur.server
    if (
        server.capabilities.refuses_over_limit_amount
        and server.capabilities.counts_replaced >= every
    ):
        return False
    server.correct(str(error), refuses_over_limit_amount=True, counts_replaced=every)
    return True


_INVALID = HTTPStatus.BAD_REQUEST
_WHOLE = ("resource", "plan_period", "date")
"""What a refusal is about that concerns all components alike."""


def _post_singly(run: Run, difference: Difference, date: str, error: WaldurRefusedError) -> None:
    """Post what Waldur takes of a report that it refused, one component more each time."""
    final = error.status == _INVALID
    taken: dict[str, Decimal] = {}
    if final and not any(is_about(error, field) for field in _WHOLE):
        taken = _taken(run.control, difference, date)
    left = frozenset(difference.new) - {*taken}
    reason = f"{', '.join(sorted(left))}: {error}"
    run.done.refused.append(Refusal(difference, reason, final=final))
    if taken:
        run.control.refusals.note(difference.resource, difference.month, left, reason)
        _note(run, difference.only(taken))


def _taken(control: Control, difference: Difference, date: str) -> dict[str, Decimal]:
    taken: dict[str, Decimal] = {}
    for name, value in sorted(difference.new.items()):
        wanted = {**taken, name: value}
        try:
            control.waldur.usages.set_totals(difference.resource, wanted, date)
        except WaldurRefusedError:  # the first refusal is the one that is told
            continue
        taken = wanted
    return taken
