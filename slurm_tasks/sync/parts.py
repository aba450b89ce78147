"""Parts: what each user used of a total that Waldur has by now."""

from collections.abc import Iterable, Mapping

import structlog

from slurm_tasks.errors import WaldurRefusedError
from slurm_tasks.model import names, usage
from slurm_tasks.sync import months
from slurm_tasks.sync.control import Control
from slurm_tasks.sync.differences import Difference
from slurm_tasks.sync.months import Place
from slurm_tasks.sync.posted import Refusal
from slurm_tasks.waldur.capabilities import Dates
from slurm_tasks.waldur.usages import is_about, is_theirs

log = structlog.stdlib.get_logger(__name__)


def post(control: Control, wanted: list[Difference]) -> list[Refusal]:
    """Post users' parts of totals that are there by now; returns what was not taken."""
    wanted = [difference for difference in wanted if difference.users]
    if not wanted:
        return []
    resources = {difference.resource for difference in wanted}
    uuids = {
        (row.resource_uuid, month, row.type): row.uuid
        for month in {difference.month for difference in wanted}
        for row in control.waldur.usages.totals(month, resources)
    }
    links = _links(control, wanted)
    refused = []
    for difference in wanted:
        for name in sorted(difference.users):
            total = uuids.get((difference.resource, difference.month, name))
            if total is None:
                reason = (
                    f"{name} of users: Waldur doesn't list the total that it has taken. Is"
                    " BILLING_TIME_ZONE its TIME_ZONE?"
                )
                refused.append(Refusal(difference, reason, final=False))
                continue
            refusals = _post(control, total, difference.only({name}), links)
            for user, error in refusals.items():
                reason = f"{name} of {user}: {error}"
                refused.append(Refusal(difference, reason, final=is_theirs(error)))
    return refused


def _post(
    control: Control, total: str, difference: Difference, links: Mapping[str, str]
) -> dict[str, WaldurRefusedError]:
    """Post the users' parts of one component; those of a month that Waldur takes."""
    (amounts,) = difference.users.values()
    known = {
        name: links[folded] for name in amounts if (folded := names.fold_username(name)) in links
    }
    date = _date(control, difference.month)
    if date is None:
        log.info("parts_not_taken", account=difference.account, month=difference.month)
        return {}
    refusals = control.waldur.usages.set_parts(total, amounts, known, date)
    if date and any(is_about(error, "date") for error in refusals.values()):
        reason = str(next(iter(refusals.values())))
        control.waldur.server.correct(reason, dates=Dates.NONE)
        if _date(control, difference.month) == "":
            return control.waldur.usages.set_parts(total, amounts, known)
    return refusals


def _date(control: Control, month: str) -> str | None:
    """Return the date that parts of a month need, "" for none; None: Waldur would misplace them."""
    server = control.waldur.server.capabilities
    if not server.parts_by_date:
        return ""
    if server.dates is not Dates.NONE:
        return months.first_day(control, month)
    return "" if months.place(control, month) is Place.CURRENT else None


def _links(control: Control, wanted: list[Difference]) -> dict[str, str]:
    """Return the URLs of offering users by folded username, former names included."""
    people = control.waldur.offering_users()
    links = {names.fold_username(user.username): user.url for user in people if user.username}
    users = {user for row in wanted for parts in row.users.values() for user in parts}
    if names.other_usernames(users, links):
        months_ = sorted({difference.month for difference in wanted})
        links = former(control, months_) | links
    return links


def former(control: Control, reported: Iterable[str]) -> dict[str, str]:
    """Return whom Waldur has linked earlier usage to, by folded username.

    Somebody who was renamed has used what was used under the former name.

    Args:
        control: the control side.
        reported: months (`YYYY-MM`); the one before the first is looked at, too.
    """
    first = usage.month(min(reported), control.zone)
    looked = {usage.previous(first, control.zone).month, *reported}
    return {
        names.fold_username(row.username): row.user
        for month in sorted(looked)
        for row in control.waldur.usages.parts(month)
        if row.user
    }
