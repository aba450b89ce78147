"""Filters of lists: which records a query asks for, and which values Waldur cannot read."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Generic, TypeVar

from slurm_tasks.demo.waldur.database import plain_uuid
from slurm_tasks.demo.waldur.refusals import invalid

Record = TypeVar("Record")
Query = tuple[tuple[str, str], ...]
Test = Callable[[object], bool]
Parser = Callable[[str, list[str]], Test]

# As Django reads dates, in the order in which it tries.
_DATE_FORMATS = ("%Y-%m-%d", "%m/%d/%Y", "%m/%d/%y")
_NO_DATE = "Enter a valid date."
_NO_MOMENT = "Enter a valid date/time."


@dataclass(frozen=True)
class Filter(Generic[Record]):
    """A query parameter: which value of a record it looks at, and how it reads its own.

    One that is sent empty filters nothing, unless it is a choice out of several: `empty` then.
    """

    value: Callable[[Record], object]
    parse: Parser
    empty: bool = False


def values(query: Query, name: str, *, empty: bool = False) -> list[str]:
    """Return all values of a query parameter, those that are empty only if they are wanted."""
    return [value for key, value in query if key == name and (empty or value != "")]


def select(
    records: Iterable[Record], filters: Mapping[str, Filter[Record]], query: Query
) -> list[Record]:
    """Return the records that every filter meets; a parameter that is no filter is ignored.

    Raises:
        RefusedError: 400 for a value that a filter cannot read.
    """
    chosen = list(records)
    for name, filter_ in filters.items():
        wanted = values(query, name, empty=filter_.empty)
        if wanted:
            test = filter_.parse(name, wanted)
            chosen = [record for record in chosen if test(filter_.value(record))]
    return chosen


def by_uuid(name: str, wanted: list[str]) -> Test:
    """Match one uuid, dashed or not; of several the last."""
    uuid = plain_uuid(wanted[-1])
    if uuid is None:
        raise invalid(name, "Enter a valid UUID.")
    return lambda value: value == uuid


def chosen_of(value: Callable[[Record], object], choices: Iterable[str]) -> Filter[Record]:
    """Return the filter that matches any of several values out of a fixed set."""
    known = tuple(choices)

    def parse(name: str, wanted: list[str]) -> Test:
        for item in wanted:
            if item not in known:
                message = f"{item} is not one of the available choices."
                raise invalid(name, f"Select a valid choice. {message}")
        return lambda value: value in wanted

    return Filter(value, parse, empty=True)


def by_text(_name: str, wanted: list[str]) -> Test:
    """Match one text exactly."""
    return lambda value: value == wanted[-1]


def by_word(_name: str, wanted: list[str]) -> Test:
    """Match one text, whatever its case."""
    word = wanted[-1].casefold()
    return lambda value: str(value).casefold() == word


def by_part(_name: str, wanted: list[str]) -> Test:
    """Match a part of a text, whatever its case."""
    part = wanted[-1].casefold()
    return lambda value: part in str(value).casefold()


def by_flag(_name: str, wanted: list[str]) -> Test:
    """Match true or false; other texts match everything."""
    flag = {"true": True, "false": False}.get(wanted[-1].casefold())
    return lambda value: flag is None or value is flag


def by_day(name: str, wanted: list[str]) -> Test:
    """Match one day, as a billing period's first."""
    day = _day(name, wanted[-1])
    return lambda value: value == day


def by_number(name: str, wanted: list[str]) -> Test:
    """Match a whole number."""
    if not wanted[-1].isdigit():
        raise invalid(name, "Enter a number.")
    number = int(wanted[-1])
    return lambda value: value == number


def since(name: str, wanted: list[str]) -> Test:
    """Match moments from a moment, or a day's beginning, on."""
    moment = _moment(name, wanted[-1])
    return lambda value: _as_moment(value) >= moment


def since_day(name: str, wanted: list[str]) -> Test:
    """Match moments from a day on; a moment is refused, in whatever form it is written."""
    day = _day(name, wanted[-1])
    return lambda value: _as_moment(value).date() >= day


def until_day(name: str, wanted: list[str]) -> Test:
    """Match moments up to a day's end; a moment is refused."""
    day = _day(name, wanted[-1])
    return lambda value: _as_moment(value).date() <= day


def _day(name: str, text: str) -> date:
    for format_ in _DATE_FORMATS:
        try:
            return datetime.strptime(text.strip(), format_).replace(tzinfo=UTC).date()
        except ValueError:
            continue
    raise invalid(name, _NO_DATE)


def _moment(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        try:
            moment = datetime.strptime(text.strip(), "%m/%d/%Y")  # noqa: DTZ007 - made UTC below
        except ValueError:
            raise invalid(name, _NO_MOMENT) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _as_moment(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise TypeError(f"{value!r} is no moment")
