"""A machine that runs systemd: a Debian in a folder, booted by systemd-nspawn.

It shares the host's network, so that it reaches a broker, a Waldur and a cluster of the test's.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from slurm_tasks.demo.stack import wait_until
from tests.support.clusters import RealCluster, cache
from tests.support.machines import ROOT, bound, debian, inside, locked, need_program, wheels

PREFIX = "/opt/waldur-slurm-tasks"
CONFIG = "etc/waldur-slurm-tasks"
_PACKAGES = ("systemd-sysv", "libnss-systemd", "python3-venv", "slurm-client", "sudo")
_PATIENCE = 60.0


@dataclass
class Machine:
    """A running machine.

    Attributes:
        root: its files.
        leader: the pid of its systemd.
    """

    root: Path
    leader: int

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command on it, as root."""
        enter = ("nsenter", f"--target={self.leader}", "--mount", "--uts", "--ipc", "--pid")
        return subprocess.run(
            [*enter, "--cgroup", *argv], capture_output=True, text=True, check=False, timeout=120
        )

    def systemctl(self, *argv: str) -> str:
        """Do something that must succeed, and return what it printed."""
        done = self.run("systemctl", "--no-pager", *argv)
        assert done.returncode == 0, (done.stderr, self.journal())
        return done.stdout

    def show(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.systemctl("show", "--value", f"--property={name}", unit).strip()

    def journal(self, unit: str = "waldur-slurm-tasks-*") -> str:
        """Return what units have logged."""
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}").stdout

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)


def environment(settings: Mapping[str, str]) -> str:
    """Write settings as an environment file."""
    return "".join(f"{name}={value}\n" for name, value in settings.items())


@contextmanager
def booted(folder: Path, cluster: RealCluster, users: Iterable[str]) -> Iterator[Machine]:
    """Boot a machine on which the service is installed, with the clients of a real cluster.

    Args:
        folder: where it may put things.
        cluster: the cluster that its clients reach.
        users: Unix users to make there, as sysusers.d has them.
    """
    need_program("systemd-nspawn", "systemd-container")
    lower = _prepared()
    root, upper, work = (folder / name for name in ("root", "upper", "work"))
    for path in (root, upper, work):
        path.mkdir()
    overlay = f"lowerdir={lower},upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", overlay, str(root)], check=True)
    try:
        _install(root, folder)
        lines = "".join(f"u {user}\n" for user in users)
        (root / "etc/sysusers.d/00-test.conf").write_text(lines, encoding="utf-8")
        inside(root, "systemd-sysusers")
        with _booted(root, folder / "console.log", cluster) as machine:
            yield machine
    finally:
        subprocess.run(["umount", str(root)], check=True)


def _prepared() -> Path:
    """Return a Debian with everything but the service itself: what it depends on is installed."""
    root = debian("systemd", "bookworm", *_PACKAGES)
    locked_wheels = wheels(root)
    mark = root / PREFIX[1:] / locked_wheels.name
    with locked(cache() / "systemd" / "python.lock"):
        if not mark.exists():
            shutil.rmtree(root / PREFIX[1:], ignore_errors=True)
            inside(root, "python3", "-m", "venv", PREFIX)
            with _at(root, locked_wheels, "/mnt"):
                requirements = ("--requirement", "/mnt/requirements.txt")
                _pip(root, "--no-index", "--no-deps", "--find-links=/mnt", *requirements)
            mark.touch()
    return root


def _install(root: Path, folder: Path) -> None:
    build = (sys.executable, "-m", "build", "--no-isolation", "--wheel", f"--outdir={folder}")
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    shutil.copy(wheel, root / "tmp")
    _pip(root, "--no-index", "--no-deps", f"/tmp/{wheel.name}")
    make = ("make", "--silent", "-C", str(ROOT), "install-systemd", f"DESTDIR={root}")
    subprocess.run(make, check=True)
    for timer in (root / "etc/systemd/system/timers.target.wants").iterdir():
        timer.unlink()  # apt's and others' would start something


def _pip(root: Path, *argv: str) -> None:
    inside(root, f"{PREFIX}/bin/pip", "install", "--quiet", "--disable-pip-version-check", *argv)


@contextmanager
def _at(root: Path, source: Path, target: str) -> Iterator[None]:
    place = str(root / target[1:])
    subprocess.run(["mount", "--bind", str(source), place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


@contextmanager
def _booted(root: Path, console: Path, cluster: RealCluster) -> Iterator[Machine]:
    head = cluster.bin_dir.parent / "root"
    nspawn = ("systemd-nspawn", "--quiet", "--keep-unit", "--register=no", "--console=pipe")
    slurm = (f"--bind-ro={head}/lab/etc:/lab/etc", f"--bind={head}/run/munge:/run/munge")
    with console.open("wb") as log:
        process = subprocess.Popen(
            bound(*nspawn, f"--directory={root}", *slurm, "--boot", "systemd.unit=basic.target"),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_until(children.read_text, "the machine starts", _PATIENCE)
        machine = Machine(root, int(children.read_text().split()[0]))
        up = ("systemctl", "is-active", "--quiet", "basic.target")
        wait_until(lambda: machine.run(*up).returncode == 0, f"it is up ({console})", _PATIENCE)
        yield machine
    finally:
        process.terminate()  # for a booted machine that is an orderly shutdown
        try:
            process.wait(_PATIENCE)
        finally:
            process.kill()
