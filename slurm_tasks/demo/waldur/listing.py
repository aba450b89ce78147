"""Lists: order, pages and chosen fields, with the headers that describe them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Generic
from urllib.parse import urlencode

from slurm_tasks.demo.waldur.filters import Query, Record, values
from slurm_tasks.demo.waldur.refusals import RefusedError, invalid
from slurm_tasks.demo.waldur.values import Json

DEFAULT_PAGE_SIZE = 10
MAX_PAGE_SIZE = 300

_PAGING = ("page", "page_size")
_UNKNOWN = "This simulator knows no such {}: neither the recordings nor the schema have it."


@dataclass(frozen=True)
class Page(Generic[Record]):
    """One page of a list and the headers that go with it."""

    records: Sequence[Record]
    headers: dict[str, str]


def refuse_unknown(query: Query, parameters: Collection[str], fields: Collection[str]) -> None:
    """Refuse parameters that an endpoint does not have, and fields that no answer of it has.

    Waldur ignores them in silence: a filter that does not filter, a key that never comes.

    Raises:
        RefusedError: 400 that names them.
    """
    known = {*parameters, *(("field",) if fields else ())}
    said = {name: [_UNKNOWN.format("parameter")] for name, _ in query if name not in known}
    unknown = [name for name in values(query, "field", empty=True) if name not in fields]
    if unknown and "field" in known:
        said["field"] = [f"{name}: {_UNKNOWN.format('field')}" for name in unknown]
    if said:
        raise RefusedError(400, said)


def list_parameters(filters: Collection[str], keys: Collection[str]) -> set[str]:
    """Return the parameters that a list has: its filters, those of pages, perhaps the order."""
    return {*filters, *_PAGING, *(("o",) if keys else ())}


def sort(
    records: list[Record], keys: Mapping[str, Callable[[Record], object]], query: Query
) -> list[Record]:
    """Return the records in the order that `o` asks for; a list without keys ignores it.

    Raises:
        RefusedError: 400 for a key that the list cannot be sorted by.
    """
    if not keys:
        return records
    for wanted in reversed([key for value in values(query, "o") for key in value.split(",")]):
        key = keys.get(wanted.removeprefix("-"))
        if key is None:
            message = f"{wanted} is not one of the available choices."
            raise invalid("o", f"Select a valid choice. {message}")
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
    """Return only the fields that `field` names; the whole row where it has none of them."""
    fields = values(query, "field")
    return {key: value for key, value in row.items() if key in fields} or row


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
    if wanted[-1] == "last":
        return last
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
