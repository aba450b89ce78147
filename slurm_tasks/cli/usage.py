"""`slurm-tasks usage …`: what the cluster measured beside what Waldur has."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from slurm_tasks.cli import common

MONTH = click.option(
    "--month", "months", multiple=True, metavar="YYYY-MM", help="A month; may be repeated."
)

_UNFINISHED = ("refused", "purged", "failed", "unread", "missed")
"""What was not reported of a month, and had to be."""


@click.group()
def usage() -> None:
    """Show usage, or report it to Waldur."""


@usage.command()
@MONTH
@common.through_queue
def show(months: tuple[str, ...], local: bool, timeout: int, as_json: bool) -> None:
    """Print what differs between the cluster's usage and Waldur's; posts nothing."""
    _check(months)
    _show(_report(months, local, timeout, dry_run=True), as_json, dry_run=True)


@usage.command()
@MONTH
@click.option("--from", "first", metavar="YYYY-MM", help="The first of several months.")
@click.option("--to", "last", metavar="YYYY-MM", help="The last of them (this month).")
@click.option("--dry-run", is_flag=True, help="Print what would be posted, and post nothing.")
@common.through_queue
def report(
    months: tuple[str, ...],
    first: str | None,
    last: str | None,
    dry_run: bool,
    local: bool,
    timeout: int,
    as_json: bool,
) -> None:
    """Report the usage of the open months, or of those given, to Waldur.

    Months given are reported one by one, oldest first. What Waldur has already is not posted
    again, so a report that was interrupted is resumed by starting it once more. Exits with 1 when
    Waldur refused something or takes no more for a month that is over, or when the cluster's job
    records of a month aren't there or aren't understood.
    """
    _check(months)
    wanted = sorted({*months, *_range(first, last)})
    if not wanted:
        parts = _report((), local, timeout, dry_run=dry_run)
    else:
        parts = []
        for month in wanted:
            with _told(month, wanted[-1]):
                found = _report((month,), local, timeout, dry_run=dry_run)
            click.echo(f"{month}: {_counted(found, dry_run=dry_run)}", err=True)
            parts += found
    _show(parts, as_json, dry_run=dry_run)
    unfinished = any(part[name] for part in parts for name in _UNFINISHED)
    common.end(common.FAILED if unfinished else 0)


def _range(first: str | None, last: str | None) -> list[str]:
    """Return the months from one to another, both included."""
    from datetime import UTC, datetime, timedelta

    if first is None:
        if last is not None:
            common.fail("--to: say --from, too", common.MISCONFIGURED)
        return []
    now = f"{datetime.now(UTC):%Y-%m}"
    _check((first, last or now), "--from, --to")
    found = [first]
    while found[-1] < (last or now):
        start = datetime.strptime(found[-1], "%Y-%m").replace(tzinfo=UTC)
        found.append(f"{start + timedelta(days=32):%Y-%m}")
    if found[-1] != (last or now):
        common.fail(f"--from {first} is after --to {last or now}", common.MISCONFIGURED)
    return found


def _check(months: tuple[str, ...], option: str = "--month") -> None:
    """Refuse what is no month, in the form in which months compare."""
    from zoneinfo import ZoneInfo

    from slurm_tasks.model.usage import month

    for text in months:
        try:
            month(text, ZoneInfo("UTC"))
        except ValueError as error:
            common.fail(f"{option}: {error}", common.MISCONFIGURED)


@contextmanager
def _told(month: str, last: str) -> Iterator[None]:
    """Say how to go on when a month's report does not come to its end."""
    from slurm_tasks.errors import PermanentError

    try:
        yield
    except PermanentError:
        raise  # it says what helps; the same once more doesn't
    except BaseException:
        command = f"slurm-tasks usage report --from {month} --to {last}"
        click.echo(f"slurm-tasks: stopped at {month}; go on with: {command}", err=True)
        raise


def _counted(parts: list[dict[str, Any]], *, dry_run: bool) -> str:
    """Count what became of a month, for its line."""
    words = {
        "posted": "to post" if dry_run else "posted",
        "kept": "below what Waldur has",
        "closed": "closed in Waldur",
        "missed": "not taken any more",
        "later": "not taken for the moment",
        "refused": "refused",
        "purged": "no longer on the cluster",
        "failed": "not readable",
        "unread": "not understood",
    }
    counts = {name: sum(len(part[name]) for part in parts) for name in words}
    shown = [f"{counts[name]} {word}" for name, word in words.items() if counts[name]]
    return ", ".join(shown) or "as in Waldur"


def _report(
    months: tuple[str, ...], local: bool, timeout: int, *, dry_run: bool
) -> list[dict[str, Any]]:
    from slurm_tasks import celery_settings as names

    if local:
        from slurm_tasks.model.usage import month
        from slurm_tasks.sync import usage as flow
        from slurm_tasks.sync.collect import collect

        control = common.local_control()
        periods = tuple(month(text, control.zone) for text in months)
        request = flow.request(control, periods, dry_run=dry_run)
        measured = collect(request, common.local_headnode().cluster) if request.accounts else ()
        return [flow.push(control, part, dry_run=dry_run).summary() for part in measured]
    sent = common.run(
        names.USAGE_REPORT, "measuring usage", timeout, months=list(months), dry_run=dry_run
    )
    return [common.wait(common.result_of(task), "comparing with Waldur", timeout) for task in sent]


def _show(parts: list[dict[str, Any]], as_json: bool, *, dry_run: bool) -> None:
    if as_json:
        common.print_json(parts)
        return
    rows = [
        (item["account"], item["month"], name, item["old"].get(name, "0.00"), value)
        for part in parts
        for item in part["posted"]
        for name, value in item["new"].items()
        if item["old"].get(name, "0.00") != value
    ]
    if rows:
        new = "cluster" if dry_run else "posted"
        common.print_table(["account", "month", "component", "Waldur", new], rows)
    elif not any(part[name] for part in parts for name in (*_UNFINISHED, "later")):
        click.echo("Waldur has what the cluster measured")
    for note in dict.fromkeys(note for part in parts for note in _notes(part)):
        click.secho(note, fg="yellow")


def _unread(part: dict[str, Any]) -> Iterator[str]:
    """Yield what could not be read of the cluster's records, or is doubtful there."""
    for month in part["purged"]:
        yield f"{month}: the cluster doesn't hold all job records of this month any more: refused"
    for month, reason in part["failed"].items():
        yield f"{month}: not reported, the cluster's job records could not be read: {reason}"
    for text in part["unread"]:
        yield f"not known, not reported: {text}"
    for text in part["doubtful"]:
        yield f"doubtful: {text}"


def _notes(part: dict[str, Any]) -> Iterator[str]:
    """Yield what a person should know of a part beside what was posted."""
    for account in part["missing"]:
        yield f"{account}: the cluster doesn't have this account; nothing is reported for it"
    yield from _unread(part)
    for text in part["closed"]:
        yield f"{text}: Waldur has closed this month"
    yield from part["missed"]
    for text in part["later"]:
        yield f"{text}: a month is about to turn; a later report posts it"
    for account, users in part["strangers"].items():
        yield f"{account}: in the total, but unknown to Waldur: {', '.join(users)}"
    for text in part["kept"]:
        yield f"{text}; SLURM_USAGE_DECREASE decides"
    yield from part["unlimited"]
    for text in part["refused"]:
        yield f"refused: {text}"
