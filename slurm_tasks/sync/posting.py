"""Posting: usage goes to Waldur, each resource by itself, and never to another month."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus

import structlog

from slurm_tasks import metrics
from slurm_tasks.errors import WaldurRefusedError
from slurm_tasks.model import names
from slurm_tasks.sync.control import Control
from slurm_tasks.sync.differences import Difference
from slurm_tasks.waldur.client import Generation

log = structlog.stdlib.get_logger(__name__)

TURN = timedelta(minutes=2)
"""How far an older server's clock and a request under way may be from our clock: so long before
and after the turn of its month nothing is posted to it."""


@dataclass(frozen=True)
class Refusal:
    """What Waldur refused, whole or in part.

    Attributes:
        difference: what was posted.
        reason: why, and which components.
        final: whether it would be refused again; False for rights that the token lacks and the
            like, which an operator mends.
    """

    difference: Difference
    reason: str
    final: bool


@dataclass
class Posted:
    """What became of differences.

    Attributes:
        posted: what Waldur has now; without the components that it refused.
        refused: what it refused.
        closed: what came too late: Waldur takes nothing for that month any more.
    """

    posted: list[Difference] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    closed: list[Difference] = field(default_factory=list)


def post(control: Control, wanted: Iterable[Difference], measured_at: datetime) -> Posted:
    """Post differences, totals before users; a refusal of one doesn't stop the others.

    Raises:
        WaldurError: Waldur is away; what is left differs the next time, too.
    """
    done = Posted()
    for difference in wanted:
        if not is_bookable(control, difference.month):
            log.warning("usage_too_late", account=difference.account, month=difference.month)
            done.closed.append(difference)
        elif difference.changed:
            _post_total(control, difference, measured_at, done)
        elif difference.users:
            done.posted.append(difference)
    done.refused += _post_users(control, [row for row in done.posted if row.users])
    return done


def is_bookable(control: Control, month: str) -> bool:
    """Tell whether a report of a month is booked to that month.

    An older server ignores the date of a report and books it to the month that it is for it now,
    in UTC.
    """
    if control.waldur.generation is Generation.B:
        return True
    now = datetime.now(UTC)
    return all(f"{moment:%Y-%m}" == month for moment in (now - TURN, now + TURN))


def _post_total(
    control: Control, difference: Difference, measured_at: datetime, done: Posted
) -> None:
    """Post a resource's usage of a month: every component, the server forgets those left out."""
    older = control.waldur.generation is Generation.A
    date = "" if older else posting_date(difference.month, measured_at)
    try:
        control.waldur.usages.set_totals(difference.resource, difference.new, date)
    except WaldurRefusedError as error:
        if any("closed" in message.lower() for message in error.messages):
            log.info("usage_month_closed", account=difference.account, month=difference.month)
            done.closed.append(difference)
            return
        taken = _post_singly(control, difference, date) if error.status == _INVALID else {}
        left = sorted(name for name, value in difference.new.items() if taken.get(name) != value)
        done.refused.append(_refusal(difference, error, ", ".join(left)))
        if not taken:
            return
        users = {name: parts for name, parts in difference.users.items() if name not in left}
        difference = replace(difference, new=taken, users=users)
    done.posted.append(difference)
    metrics.usage_posted.labels("usage").inc()
    log.info("usage_posted", **difference.dump())


_INVALID = HTTPStatus.BAD_REQUEST


def _refusal(difference: Difference, error: WaldurRefusedError, what: str) -> Refusal:
    return Refusal(difference, f"{what}: {error}", final=error.status == _INVALID)


def _post_singly(control: Control, difference: Difference, date: str) -> dict[str, Decimal]:
    """Post what Waldur takes of a report that it refused as a whole, one component more each time.

    A component over its `limit_amount` keeps the amount that Waldur has.

    Returns:
        The amounts that Waldur took.
    """
    taken: dict[str, Decimal] = {}
    for name, value in sorted(difference.new.items()):
        for amount in dict.fromkeys((value, difference.old.get(name))):
            if amount is None:
                continue
            try:
                control.waldur.usages.set_totals(difference.resource, {**taken, name: amount}, date)
            except WaldurRefusedError:  # the first refusal is the one that is told
                continue
            taken[name] = amount
            break
    return taken


def _post_users(control: Control, wanted: list[Difference]) -> list[Refusal]:
    """Post users' parts of totals that are there by now; returns what was not taken."""
    if not wanted:
        return []
    people = control.waldur.offering_users()
    links = {names.fold_username(user.username): user.url for user in people}
    uuids = {
        (row.resource_uuid, month, row.type): row.uuid
        for month in {difference.month for difference in wanted}
        for row in control.waldur.usages.totals(month)
    }
    refused = []
    for difference in wanted:
        for name, amounts in sorted(difference.users.items()):
            known = {user: links.get(names.fold_username(user)) for user in amounts}
            uuid = uuids.get((difference.resource, difference.month, name))
            if uuid is None:  # a page of the list was lost
                reason = f"{name} of users: Waldur doesn't list the total that it has taken"
                refused.append(Refusal(difference, reason, final=False))
                continue
            urls = {user: url for user, url in known.items() if url}
            refusals = control.waldur.usages.set_parts(uuid, amounts, urls)
            for user, error in refusals.items():
                refused.append(_refusal(difference, error, f"{name} of {user}"))
    return refused


def posting_date(month: str, measured_at: datetime) -> str:
    """Return a moment that lies in the month for Waldur, whose months are UTC's.

    Args:
        month: `YYYY-MM`, of the billing time zone.
        measured_at: when it was measured.
    """
    moment = measured_at.astimezone(UTC)
    if f"{moment:%Y-%m}" != month:
        first = datetime.fromisoformat(f"{month}-01T12:00:00+00:00")
        last = (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)
        # before the month began in UTC, or after it ended
        moment = first if moment < first else last
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
