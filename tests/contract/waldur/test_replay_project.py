"""The project's own traffic with a real GEN-A server, replayed against the simulator."""

from collections.abc import Iterator

import pytest

from tests.contract.waldur.project_run import FILES, ProjectRun, project_run
from tests.contract.waldur.project_steps import OTHERWISE, STEPS
from tests.contract.waldur.replay import exchanges


@pytest.fixture(scope="module")
def run() -> Iterator[ProjectRun]:
    """One server for all files, as it was when they were recorded."""
    with project_run(STEPS) as started:
        yield started


@pytest.mark.parametrize("name", FILES)
def test_replay(run: ProjectRun, name: str) -> None:
    """Status, headers, keys, values and the first rows are the recorded ones."""
    differences = run.differences(name)
    otherwise = OTHERWISE.get(name, {})
    found = [text for text in differences if int(text.partition(" ")[0]) not in otherwise]
    assert "\n".join(found) == ""
    assert {int(text.partition(" ")[0]) for text in differences} == otherwise.keys()


def test_all_rows(run: ProjectRun) -> None:
    """No row is left out."""
    for name in FILES:
        run.differences(name)
    assert run.rows == sum(len(exchanges(f"project-{name}")) for name in FILES) == 2442
