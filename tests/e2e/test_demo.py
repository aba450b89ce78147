"""The demo touches nothing but what it was told to, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from slurm_tasks.demo.slurm import SlurmSimulator
from slurm_tasks.demo.stack import wait_until
from tests.support import service
from tests.support.clusters import RealCluster
from tests.support.shell import SHELL, shell

PATIENCE = 120.0


@contextmanager
def demo(
    folder: Path, environment: Mapping[str, str], *options: str
) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], str]]]:
    """Run the demo; yields its process, and what it has printed so far."""
    output = folder / "output"
    with output.open("wb") as out:
        process = subprocess.Popen(
            [SHELL, "demo", *options],
            env={"PATH": os.environ["PATH"], "TMPDIR": str(folder), **environment},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
        try:
            yield process, lambda: output.read_text(encoding="utf-8")
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)


def processes_in(folder: Path) -> list[str]:
    """Return the command lines of processes that run in a folder or below it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if folder in (entry / "cwd").resolve().parents:
                found.append((entry / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it has ended
    return found


def until_printed(text: str, process: subprocess.Popen[bytes], printed: Callable[[], str]) -> None:
    """Wait until the demo has printed something."""

    def there() -> bool:
        assert process.poll() is None, printed()
        return text in printed()

    wait_until(there, f"{text!r} is printed", PATIENCE)


def interrupt(process: subprocess.Popen[bytes], times: int = 1) -> int:
    """Press Ctrl-C, perhaps again and again, and return the exit code."""
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)  # a person's fingers: nothing shows when a signal has arrived
    return process.wait(PATIENCE)


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Path]:
    """Give a site's SLURM whose commands must not be called."""
    bin_dir = tmp_path / "site"
    bin_dir.mkdir()
    for tool in ("sacctmgr", "sacct", "scontrol", "scancel", "sbatch", "squeue"):
        script = bin_dir / tool
        script.write_text(f'#!/bin/sh\necho "$0 $*" >> {tmp_path}/called\nexit 1\n')
        script.chmod(0o755)
    yield bin_dir
    assert not (tmp_path / "called").exists(), (tmp_path / "called").read_text()


def test_a_sites_environment_is_not_touched(trap: Path, tmp_path: Path) -> None:
    """With a site's settings sourced the cluster is simulated all the same, and all ends."""
    site = {
        "SLURM_DEPLOYMENT_TYPE": "native",
        "SLURM_BIN_DIR": str(trap),
        "SLURM_DEFAULT_ACCOUNT": "production",
        "SLURM_CONF": "/etc/slurm/slurm.conf",
        "WALDUR_API_URL": "https://waldur.example.com/api/",
        "WALDUR_API_TOKEN": "e" * 40,
    }
    with demo(tmp_path, site) as (process, printed):
        until_printed("Genomics 2026", process, printed)
        assert "SLURM (simulated)" in printed()
        assert interrupt(process) == 130, printed()
    assert "everything is stopped and removed" in printed()
    assert processes_in(tmp_path) == []
    assert not list(tmp_path.glob("slurm-tasks-demo-*"))


@pytest.fixture
def site(tmp_path: Path) -> SlurmSimulator:
    """Give a cluster that takes a site's part, with an account and a user of its own."""
    return SlurmSimulator.create(tmp_path / "cluster", cluster="production")


def settings_of(site: SlurmSimulator | RealCluster, folder: Path) -> dict[str, str]:
    """Return the site's settings."""
    return {
        **service.environment_of(site, folder),
        "SLURM_REQUIRE_UNIX_USER": "false",  # the story's people live in the cluster only
    }


def test_a_real_cluster_is_confirmed(site: SlurmSimulator, tmp_path: Path) -> None:
    """Where nobody can be asked it is refused: the cluster is named, and nothing is written."""
    done = shell(settings_of(site, tmp_path), "demo", "--cluster", "real")
    assert done.returncode == 2
    assert "'production'" in done.stderr
    assert "--yes" in done.stderr
    assert [call for call in site.commands() if call.tool == "sacctmgr"] == []


def test_auto_is_no_choice(site: SlurmSimulator, tmp_path: Path) -> None:
    """What chose a site's cluster by itself is gone."""
    done = shell(settings_of(site, tmp_path), "demo", "--cluster", "auto")
    assert done.returncode == 2
    assert "'simulated', 'real'" in done.stderr


@pytest.mark.parametrize("presses", [1, 4])
@pytest.mark.parametrize("moment", ["order: allocation 'Climate", "submits a job that would run"])
def test_an_interrupted_demo_leaves_nothing(
    moment: str, presses: int, site: SlurmSimulator, tmp_path: Path
) -> None:
    """In the middle of an order or with jobs running: accounts and users are as before."""
    before = (site.accounts(), site.account_rows(), site.default_accounts())
    submit = f"env SLURM_SIM_USER={{user}} {site.bin_dir}/sbatch"
    options = ("--cluster", "real", "--yes", "--submit", submit)
    with demo(tmp_path, settings_of(site, tmp_path), *options) as (process, printed):
        until_printed(moment, process, printed)
        assert interrupt(process, presses) == 130, printed()
    assert (site.accounts(), site.account_rows(), site.default_accounts()) == before
    assert not site.active_jobs()
    assert processes_in(tmp_path) == []


def test_what_is_left_is_told(site: SlurmSimulator, tmp_path: Path) -> None:
    """A cluster that can't be reached in the end: a person learns what to look for."""
    options = ("--cluster", "real", "--yes")
    with demo(tmp_path, settings_of(site, tmp_path), *options) as (process, printed):
        until_printed("done: account", process, printed)
        hidden = site.bin_dir.rename(site.bin_dir.with_name("away"))
        assert interrupt(process) == 1, printed()
        hidden.rename(site.bin_dir)
    assert "remove it by hand" in printed()


def test_a_real_cluster_is_as_before(slurm: RealCluster, tmp_path: Path) -> None:
    """On a real SLURM, interrupted while jobs run."""
    slurm.reset()
    before = slurm.sacctmgr("show", "association", "format=account,user,parentname")
    submit = f"env SLURM_LAB_USER={{user}} {slurm.bin_dir}/sbatch"
    options = ("--cluster", "real", "--yes", "--submit", submit)
    with demo(tmp_path, settings_of(slurm, tmp_path), *options) as (process, printed):
        until_printed("would run for an hour", process, printed)
        assert interrupt(process) == 130, printed()
    assert slurm.sacctmgr("show", "association", "format=account,user,parentname") == before
    assert processes_in(tmp_path) == []
