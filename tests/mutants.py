"""Say how many mutants survived: ``mutmut results --all true | python -m tests.mutants``."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable

LIMIT = 15
"""From so many percent on, too many survived."""
KNOWN = ("not checked", "killed", "timeout")
"""Any other end is that of a survivor; a mutant that never ends was noticed."""


def summary(lines: Iterable[str]) -> tuple[str, bool]:
    """Return a table by module, and whether all mutants ran and few enough survived.

    Args:
        lines: how each ended, as in `slurm_tasks.model.names.x_slug__mutmut_1: killed`.
    """
    modules: dict[str, Counter[str]] = defaultdict(Counter)
    for line in lines:
        mutant, end = line.strip().split(": ")
        modules[mutant.rpartition(".")[0]][end] += 1
    total = sum(modules.values(), Counter[str]())
    table = [f"{'mutants':>43}{'not run':>9}{'killed':>9}{'timeout':>9}{'survived':>10}"]
    for module, ends in (*sorted(modules.items()), ("all", total)):
        counts = "".join(f"{ends[end]:9}" for end in KNOWN)
        share = f"{_survivors(ends):10}{_percent(ends):7.1f} %"
        table.append(f"{module:36}{ends.total():7}{counts}{share}")
    return "\n".join(table), not total["not checked"] and _percent(total) < LIMIT


def _survivors(ends: Counter[str]) -> int:
    return ends.total() - sum(ends[end] for end in KNOWN)


def _percent(ends: Counter[str]) -> float:
    ran = ends.total() - ends["not checked"]
    return 100 * _survivors(ends) / ran if ran else 100.0


def main() -> int:
    """Print the table; exit with 1 where too many survived, or some never ran."""
    table, good = summary(sys.stdin)
    sys.stdout.write(f"{table}\n`mutmut results` names the survivors, `mutmut show NAME` one.\n")
    if not good:
        sys.stdout.write(f"Not all ran, or {LIMIT} % or more survived.\n")
    return not good


if __name__ == "__main__":
    sys.exit(main())
