"""Lists: filters, order, pages and chosen fields, with the headers that describe them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from math import ceil
from typing import Generic, TypeVar
from urllib.parse import urlencode

from slurm_tasks.demo.waldur.database import plain_uuid
from slurm_tasks.demo.waldur.refusals import RefusedError, invalid
from slurm_tasks.demo.waldur.values import Json

Record = TypeVar("Record")
Query = tuple[tuple[str, str], ...]
Test = Callable[[object], bool]
Parser = Callable[[str, list[str]], Test]

DEFAULT_PAGE_SIZE = 10
MAX_PAGE_SIZE = 300


@dataclass(frozen=True)
class Filter(Generic[Record]):
    """A query parameter: which value of a record it looks at, and how it reads its own."""

    value: Callable[[Record], object]
    parse: Parser


@dataclass(frozen=True)
class Page(Generic[Record]):
    """One page of a list and the headers that go with it."""

    records: Sequence[Record]
    headers: dict[str, str]


def values(query: Query, name: str) -> list[str]:
    """Return all values of a query parameter."""
    return [value for key, value in query if key == name and value != ""]


def by_uuid(name: str, wanted: list[str]) -> Test:
    """Match one uuid, dashed or not."""
    uuid = plain_uuid(wanted[-1])
    if uuid is None:
        raise invalid(name, "Enter a valid UUID.")
    return lambda value: value == uuid


def by_choice(choices: Iterable[str]) -> Parser:
    """Match any of several values out of a fixed set."""
    known = tuple(choices)

    def parse(name: str, wanted: list[str]) -> Test:
        for item in wanted:
            if item not in known:
                message = f"{item} is not one of the available choices."
                raise invalid(name, f"Select a valid choice. {message}")
        return lambda value: value in wanted

    return parse


def by_text(_name: str, wanted: list[str]) -> Test:
    """Match one text exactly."""
    return lambda value: value == wanted[-1]


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
    day = _moment(name, wanted[-1]).date()
    return lambda value: value == day


def by_number(name: str, wanted: list[str]) -> Test:
    """Match a whole number."""
    if not wanted[-1].isdigit():
        raise invalid(name, "Enter a number.")
    number = int(wanted[-1])
    return lambda value: value == number


def since(name: str, wanted: list[str]) -> Test:
    """Match moments from a day or a moment on."""
    moment = _moment(name, wanted[-1])
    return lambda value: _as_moment(value) >= moment


def until(name: str, wanted: list[str]) -> Test:
    """Match moments up to a day or a moment."""
    moment = _moment(name, wanted[-1])
    return lambda value: _as_moment(value) <= moment


def select(
    records: Iterable[Record], filters: Mapping[str, Filter[Record]], query: Query
) -> list[Record]:
    """Return the records that every filter meets; a filter that Waldur lacks is ignored.

    Raises:
        RefusedError: 400 for a value that a filter cannot read.
    """
    chosen = list(records)
    for name, filter_ in filters.items():
        wanted = values(query, name)
        if wanted:
            test = filter_.parse(name, wanted)
            chosen = [record for record in chosen if test(filter_.value(record))]
    return chosen


def sort(
    records: list[Record], keys: Mapping[str, Callable[[Record], object]], query: Query
) -> list[Record]:
    """Return the records in the order that `o` asks for; unknown keys are ignored."""
    for wanted in reversed(",".join(values(query, "o")).split(",")):
        key = keys.get(wanted.removeprefix("-"))
        if key is not None:
            records = sorted(records, key=_sortable(key), reverse=wanted.startswith("-"))
    return records


def paginate(records: Sequence[Record], query: Query, url: str) -> Page[Record]:
    """Return the page that was asked for.

    Raises:
        RefusedError: 404 for a page that does not exist.
    """
    size = _page_size(query)
    last = max(1, ceil(len(records) / size))
    page = _page_number(query, last)
    headers = {"X-Result-Count": str(len(records)), "Link": _links(url, query, page, last)}
    return Page(records[(page - 1) * size : page * size], headers)


def pick(row: Json, query: Query) -> Json:
    """Return only the fields that `field` names; unknown names are ignored."""
    fields = values(query, "field")
    return {key: value for key, value in row.items() if key in fields} if fields else row


def _moment(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise invalid(name, "Enter a valid date.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _as_moment(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise TypeError(f"{value!r} is no moment")


def _sortable(key: Callable[[Record], object]) -> Callable[[Record], tuple[bool, str]]:
    """Sort missing values first; ISO moments and texts compare as texts."""

    def sortable(record: Record) -> tuple[bool, str]:
        value = key(record)
        return value is not None, str(value or "")

    return sortable


def _page_size(query: Query) -> int:
    wanted = values(query, "page_size")
    if not wanted or not wanted[-1].isdigit() or int(wanted[-1]) == 0:
        return DEFAULT_PAGE_SIZE
    return min(int(wanted[-1]), MAX_PAGE_SIZE)


def _page_number(query: Query, last: int) -> int:
    wanted = values(query, "page")
    if not wanted:
        return 1
    if not wanted[-1].isdigit() or not 1 <= int(wanted[-1]) <= last:
        raise RefusedError(404, {"detail": "Invalid page."})
    return int(wanted[-1])


def _links(url: str, query: Query, page: int, last: int) -> str:
    numbers = {"first": 1}
    if page > 1:
        numbers["prev"] = page - 1
    if page < last:
        numbers["next"] = page + 1
    numbers["last"] = last
    return ", ".join(
        f'<{_page_url(url, query, number)}>; rel="{name}"' for name, number in numbers.items()
    )


def _page_url(url: str, query: Query, number: int) -> str:
    """Return the address of a page; page 1 goes without a number, parameters in order of name."""
    pairs = [(key, value) for key, value in query if key != "page"]
    if number > 1:
        pairs.append(("page", str(number)))
    pairs.sort(key=lambda pair: pair[0])
    return f"{url}?{urlencode(pairs)}" if pairs else url
