"""Lists: all rows of a list, each of them once, though pages may lose or repeat some.

Waldur orders usages by date and component, which many rows share, and PostgreSQL gives such rows
in another order for each page. Rows that come or go while a list is read move the others.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import structlog

from slurm_tasks.waldur.transport import PAGE_SIZE, Query, Transport

log = structlog.stdlib.get_logger(__name__)

SIZES = (PAGE_SIZE, 211, 157)
"""Rows of a page, for each reading of a list: other pages lose other rows."""


@dataclass(frozen=True)
class Listing:
    """The rows of a list.

    Attributes:
        rows: as Waldur sent them, without repetitions.
        complete: whether they are as many as the list has, by its own count.
    """

    rows: list[Any]
    complete: bool


def read(http: Transport, path: str, query: Query) -> Listing:
    """Read a list, up to three times if rows are missing."""
    found: dict[str, Any] = {}
    for size in SIZES:
        rows, count = http.listing(path, query, size)
        if not all(isinstance(row, dict) and "uuid" in row for row in rows):
            return Listing(rows, complete=True)  # whoever reads them says what is wrong
        merge(found, rows)
        if count is None or len(found) >= count:
            return Listing(list(found.values()), complete=True)
        log.info("list_incomplete", path=path, found=len(found), expected=count)
    return Listing(list(found.values()), complete=False)


def merge(found: dict[str, Any], rows: Iterable[Any]) -> None:
    """Add rows to those that were found, by their uuids; what was read later is newer."""
    found.update((str(row["uuid"]), row) for row in rows)
