"""Posting: usage goes to Waldur, each resource by itself, and never to another month."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import structlog

from slurm_tasks.errors import WaldurRefusedError
from slurm_tasks.sync.control import Control
from slurm_tasks.sync.differences import Difference
from slurm_tasks.waldur.client import Generation

log = structlog.stdlib.get_logger(__name__)


def post(
    control: Control, wanted: Iterable[Difference], measured_at: datetime
) -> tuple[list[Difference], list[tuple[Difference, str]]]:
    """Post differences, totals before users; a refusal of one doesn't stop the others.

    Returns:
        What was posted, and what Waldur refused, with its reason.

    Raises:
        WaldurError: Waldur is away; what is left differs the next time, too.
    """
    posted, refused = [], []
    for difference in wanted:
        try:
            if _post_total(control, difference, measured_at):
                posted.append(difference)
        except WaldurRefusedError as error:
            refused.append((difference, str(error)))
    refused += _post_users(control, [row for row in posted if row.users])
    return posted, refused


def _post_total(control: Control, difference: Difference, measured_at: datetime) -> bool:
    """Post a resource's usage of a month: every component, the server forgets those left out.

    Returns:
        False if it must not be posted any more: an older server would book it to another month.
    """
    date = ""
    if control.waldur.generation is Generation.A:
        if difference.month != control.current_month().month:
            log.warning("usage_too_late", account=difference.account, month=difference.month)
            return False
    else:
        date = posting_date(difference.month, measured_at)
    if difference.changed:
        control.waldur.set_usage(difference.resource, difference.new, date)
        log.info("usage_posted", **difference.dump())
    return True


def _post_users(control: Control, wanted: list[Difference]) -> list[tuple[Difference, str]]:
    """Post users' parts of totals that are there by now; returns what Waldur refused."""
    if not wanted:
        return []
    people = control.waldur.offering_users()
    links = {user.username.strip().lower(): user.url for user in people}
    uuids = {
        (row.resource_uuid, month, row.type): row.uuid
        for month in {difference.month for difference in wanted}
        for row in control.waldur.component_usages(month)
    }
    refused = []
    for difference in wanted:
        for name, amounts in sorted(difference.users.items()):
            uuid = uuids.get((difference.resource, difference.month, name))
            try:
                if uuid:
                    control.waldur.set_user_usage(uuid, amounts, links)
            except WaldurRefusedError as error:
                refused.append((difference, str(error)))
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
