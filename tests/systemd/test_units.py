"""The units, their environment files and their installation, as systemd's own tools see them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from celery.bin.celery import celery

from slurm_tasks import settings_view
from slurm_tasks.celery_settings import HARD_LIMIT
from slurm_tasks.cli import main
from tests.support.machines import need_program
from tests.systemd.units import ENVIRONMENT_FILES, ROOT, SERVICES, command, service

SETTINGS = {setting.variable for setting in settings_view.describe({})}
WORKERS = [name for name in SERVICES if "worker" in command(name)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install everything into an empty folder, for this interpreter's environment."""
    destination = tmp_path_factory.mktemp("installed")
    install(destination)
    return destination


def install(destination: Path) -> None:
    """Run `make install-systemd`."""
    make = ("make", "--silent", "-C", str(ROOT), "install-systemd", f"DESTDIR={destination}")
    subprocess.run([*make, f"PREFIX={sys.prefix}"], check=True, timeout=60)


def analyze(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run `systemd-analyze`; it is installed where it is missing."""
    need_program("systemd-analyze", "systemd")
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *argv],
        env={**os.environ, "SYSTEMD_COLORS": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_systemd_finds_nothing_wrong_with_the_units(installed: Path) -> None:
    """`verify` has nothing to say: its exit code is 0 whatever it finds."""
    units = installed / "etc/systemd/system"
    names = [*SERVICES, "waldur-slurm-tasks.target"]
    done = analyze("verify", "--man=no", *(str(units / name) for name in names))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", SERVICES)
def test_every_unit_is_hardened(installed: Path, name: str) -> None:
    """The exposure that systemd works out is below 3 of 10."""
    done = analyze("security", "--offline=yes", str(installed / "etc/systemd/system" / name))
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done
    assert float(found[1]) < 3


def test_configuration_that_is_there_stays(tmp_path: Path) -> None:
    """Installing again renews the units, and overwrites neither token nor TRES configuration."""
    install(tmp_path)
    config = tmp_path / "etc/waldur-slurm-tasks"
    own = {config / "waldur.env": "WALDUR_API_TOKEN=mine\n", config / "config-components.yaml": "#"}
    for path, text in own.items():
        path.write_text(text, encoding="utf-8")
    install(tmp_path)
    assert {path: path.read_text(encoding="utf-8") for path in own} == own


def test_nobody_but_root_reads_the_environment_files(installed: Path) -> None:
    """Tokens and passwords are root's: systemd reads them, the processes' users can't."""
    modes = {
        path.name: path.stat().st_mode & 0o777
        for path in (installed / "etc/waldur-slurm-tasks").glob("*.env")
    }
    assert modes == {path.name: 0o600 for path in ENVIRONMENT_FILES}


@pytest.mark.parametrize("name", SERVICES)
def test_every_command_and_option_exists(name: str) -> None:
    """What a unit starts is there, and takes the options that it is given."""
    program, *words = command(name)
    group = {"celery": celery, "slurm-tasks": main}[Path(program).name]
    known = _options(group)
    chosen: click.Command = group
    options = []
    for word in words:
        if word.startswith("-"):
            options.append(word.partition("=")[0])
        elif isinstance(chosen, click.Group) and word in chosen.commands:
            chosen = chosen.commands[word]
            known |= _options(chosen)
    assert chosen is not group
    assert set(options) <= known


def _options(command: click.Command) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize("path", ENVIRONMENT_FILES, ids=lambda path: path.name)
def test_environment_files_name_settings_that_exist(path: Path) -> None:
    """A variable that nothing reads would mislead, whether it is set or only suggested."""
    named = re.findall(r"^#?([A-Z][A-Z_]+)=", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert named
    assert set(named) <= SETTINGS


def test_the_token_is_in_one_file_which_one_unit_reads() -> None:
    """Only the control worker gets the token; the head node's, beat and Flower never see it."""
    holding = [p.name for p in ENVIRONMENT_FILES if "WALDUR_API_TOKEN" in p.read_text()]
    assert holding == ["waldur.env"]
    readers = [
        name
        for name in SERVICES
        if "/etc/waldur-slurm-tasks/waldur.env" in service(name)["EnvironmentFile"]
    ]
    assert readers == ["waldur-slurm-tasks-control.service"]


@pytest.mark.parametrize("name", WORKERS)
def test_a_stop_leaves_time_for_the_longest_task(name: str) -> None:
    """What still runs after TimeoutStopSec is killed: that is above the hard time limit."""
    assert len(WORKERS) == 3
    assert int(service(name)["TimeoutStopSec"][-1]) > HARD_LIMIT
