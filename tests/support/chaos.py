"""The chaos suite's form and its table: what was broken, how often, and what came of it.

A test records what it breaks by the fixture `chaos`; the rows travel with the tests' reports, so
that those of all xdist workers meet in the one table that ends the run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import pytest

from tests.support.servers import EACH

Part = Literal[
    "crash", "Waldur", "SLURM", "broker", "workers", "poison", "trust", "random", "guard"
]
PARTS = get_args(Part)
_PROPERTY = "chaos"
CHAOS_LONG = pytest.mark.chaos_long
_TITLES = ("fault", "runs", "converged", "commands repeated", "time to converge")
_HEAD = """# What was broken, and what came of it

Written by `make chaos ARGS="--chaos-table docs/chaos.md"`; the README says what an operator does.
A run has converged when Waldur and the cluster agree on every order, account, association, limit
and usage once the fault is gone and the schedule has run. A command is repeated when it was run
although it had had its effect. A cycle is the schedule's, by an injected clock; seconds are those
of real workers, whose schedule is quicker in the tests than by default.
"""


@dataclass
class Run:
    """One time that something is broken.

    Attributes:
        repeated: commands that were run although they had had their effect already.
        cycles: of the schedule, until both sides agreed; None where real time counts.
    """

    repeated: int = 0
    cycles: int | None = None
    _since: float = field(default_factory=time.perf_counter)

    def mended(self) -> None:
        """Say that nothing is broken any more: the time to converge begins."""
        self._since = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since it was mended; by a clock that no test turns."""
        return round(time.perf_counter() - self._since, 3)


@dataclass(frozen=True)
class Record:
    """What came of one run, as it travels with a test's report."""

    part: str
    fault: str
    converged: bool
    repeated: int
    cycles: int | None
    seconds: float


@dataclass(frozen=True)
class Chaos:
    """What a chaos test is given.

    Attributes:
        long: whether it is the long form: more indices, more examples, real parts.
    """

    long: bool
    _record: Callable[[str, object], None]

    @contextmanager
    def run(self, part: Part, fault: str) -> Iterator[Run]:
        """Record one run of a fault; it has converged if its body comes to its end.

        Args:
            part: of the table.
            fault: what is broken, in a few words; runs of the same fault share a row.
        """
        run, converged = Run(), False
        try:
            yield run
            converged = True
        finally:
            record = Record(part, fault, converged, run.repeated, run.cycles, run.seconds)
            self._record(_PROPERTY, asdict(record))


@pytest.fixture
def chaos(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Chaos:
    """What records the rows of the table, and knows the form."""
    return Chaos(request.config.getoption("--chaos") == "long", record_property)


def by_turns(values: Iterable[str]) -> list[Any]:
    """Return the parameters of a test of servers and values.

    In the short form each value is tried on one server, the first on the oldest, the next on the
    next, and so on; in the long form on each.
    """
    return [
        pytest.param(server, value, marks=[] if turn % len(EACH) == index else CHAOS_LONG)
        for turn, value in enumerate(values)
        for index, server in enumerate(EACH)
    ]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make chaos` choose the form, and where the table goes besides the screen."""
    group = parser.getgroup("chaos", "the chaos suite")
    group.addoption("--chaos", choices=("short", "long"), default="short", help="its form")
    group.addoption("--chaos-table", metavar="PATH", help="write its table there, too, as Markdown")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", "chaos_long: only in the long form (--chaos=long)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests of the long form out of the short one."""
    if config.getoption("--chaos") == "long":
        return
    left_out = [item for item in items if item.get_closest_marker("chaos_long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:  # noqa: ANN401
    """Print the table, and write it where it was asked for."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    records = [
        Record(**value)
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == _PROPERTY
    ]
    if not records:
        return
    table = rows(records)
    widths = [max(map(len, column)) for column in zip(_TITLES, *table, strict=True)]
    terminalreporter.section("chaos")
    for row in (_TITLES, *table):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        terminalreporter.line("  ".join(cells).rstrip())
    if path := config.getoption("--chaos-table"):
        lines = [f"| {' | '.join(row)} |" for row in (_TITLES, ["---"] * len(_TITLES), *table)]
        Path(path).write_text("\n".join([_HEAD, *lines]) + "\n", encoding="utf-8")


def rows(records: list[Record]) -> list[tuple[str, ...]]:
    """Return the table's rows: one for each fault, by its part."""
    faults: dict[tuple[int, str, str], list[Record]] = {}
    for record in records:
        place = PARTS.index(record.part)
        faults.setdefault((place, record.part, record.fault), []).append(record)
    return [
        (
            f"{part}: {fault}",
            str(len(runs)),
            str(sum(run.converged for run in runs)),
            str(sum(run.repeated for run in runs)),
            _time(runs),
        )
        for (_, part, fault), runs in sorted(faults.items())
    ]


def _time(runs: list[Record]) -> str:
    """Say how long it took: the median and the most, in cycles of the schedule or in seconds."""
    cycles = [run.cycles for run in runs if run.cycles is not None]
    if cycles:
        return f"{statistics.median(cycles):g} cycles, at most {max(cycles)}"
    seconds = [run.seconds for run in runs]
    return f"{statistics.median(seconds):.1f} s, at most {max(seconds):.1f} s"
