"""An edited TRES configuration is read anew; a broken one changes nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from slurm_tasks import tres_config
from slurm_tasks.errors import ConfigurationError
from slurm_tasks.settings import Waldur, load
from tests.support import meter

ONE = "cpu: {limit: null, measured_unit: h, accounting_type: usage, label: CPU}\n"
TWO = f"{ONE}mem: {{limit: null, measured_unit: GBh, accounting_type: usage, label: RAM}}\n"
BROKEN = ONE.replace("usage", "usages")

Write = Callable[..., None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the configuration lies."""
    return tmp_path / "tres.yaml"


@pytest.fixture
def write(path: Path) -> Write:
    """Write the configuration, by default some time ago."""

    def written(text: str, seconds_ago: float = tres_config.SETTLED) -> None:
        path.write_text(text, encoding="utf-8")
        moment = time.time() - seconds_ago
        os.utime(path, (moment, moment))

    return written


@pytest.fixture
def current(path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> tres_config.Current:
    """What is in force, with one component."""
    write(ONE)
    environment = {
        "WALDUR_API_URL": "https://waldur.example.com/api/",
        "WALDUR_API_TOKEN": "f" * 40,
        "WALDUR_OFFERING_UUID": "f" * 32,
        "SLURM_TRES_CONFIG_PATH": str(path),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return tres_config.Current(load(Waldur))


def broken() -> float | None:
    """Return what the metric says."""
    return meter.read("configuration_broken", file="tres")


def test_an_edit_comes_into_force(current: tres_config.Current, write: Write) -> None:
    """Nobody has to restart a worker for a new component."""
    write(TWO)
    assert list(current.get()) == ["cpu", "mem"]


def test_half_a_file_does_not(current: tres_config.Current, write: Write) -> None:
    """A file that is being written may be valid and lack half of its components."""
    write(TWO)
    assert list(current.get()) == ["cpu", "mem"]
    write(ONE, seconds_ago=0)
    assert list(current.get()) == ["cpu", "mem"]


def test_a_clock_that_was_put_back_hides_no_edit(
    current: tres_config.Current, write: Write
) -> None:
    """A file from the future isn't being written."""
    write(TWO, seconds_ago=-3600)
    assert list(current.get()) == ["cpu", "mem"]


def test_a_broken_file_leaves_the_old_one_in_force(
    current: tres_config.Current, write: Write
) -> None:
    """It is told once in the log, and by the metric as long as it lasts."""
    write(BROKEN)
    with capture_logs() as logs:
        assert [list(current.get()) for _ in range(3)] == [["cpu"]] * 3
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("tres_configuration_broken", "error")
    ]
    assert "cpu.accounting_type" in logs[0]["problems"][0]
    assert broken() == 1
    write(TWO)
    assert list(current.get()) == ["cpu", "mem"]
    assert broken() == 0


def test_a_missing_file_leaves_the_old_one_in_force(
    current: tres_config.Current, path: Path
) -> None:
    """Some editors remove a file before they write it."""
    path.unlink()
    assert list(current.get()) == ["cpu"]
    assert broken() == 1


def test_a_person_gets_what_the_file_says_now(current: tres_config.Current, write: Write) -> None:
    """`components load` right after an edit sends the edit, or says what is broken."""
    write(TWO, seconds_ago=0)
    assert list(current.read()) == ["cpu", "mem"]
    write(BROKEN, seconds_ago=0)
    with pytest.raises(ConfigurationError, match=r"cpu\.accounting_type"):
        current.read()
