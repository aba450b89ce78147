"""What tests need of the machine: root, programs of Debian's, folders with a Debian in them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.clusters import cache, unavailable_reason

ROOT = Path(__file__).parents[2]
_DEBIAN = ROOT / "tests" / "clusters" / "debian.sh"


def need(reason: str | None) -> None:
    """Skip a test that can't run here, for a reason; on CI that is a failure."""
    if reason is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


def need_root() -> None:
    """Skip a test that needs what real clusters need: root, chroot, mounts, a Debian."""
    need(unavailable_reason("22.05"))


def need_program(program: str, *packages: str) -> None:
    """Install Debian packages if a program is missing; skip the test where that is impossible."""
    if shutil.which(program):
        return
    if os.geteuid() or not shutil.which("apt-get"):
        need(f"{program} is missing, and only root on Debian can install it here")
    with locked(cache() / "apt.lock"):
        apt = ("apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=120")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for argv in ((*apt, "update"), (*apt, "install", "--no-install-recommends", *packages)):
            done = subprocess.run(
                argv, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Have a file locked, against other test runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def bound(*argv: str) -> tuple[str, ...]:
    """Return a command line that ends with the process that starts it, even if that is killed."""
    return ("setpriv", "--pdeathsig=TERM", "--", *argv)


def debian(name: str, suite: str, *packages: str) -> Path:
    """Return a folder with a Debian and some packages in it, made once."""
    done = subprocess.run(
        [str(_DEBIAN), name, suite, *packages], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def inside(root: Path, *argv: str) -> str:
    """Run a command in a Debian's folder, and return what it prints."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["chroot", str(root), *argv], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def wheels(root: Path, program: str = "python3", without: Collection[str] = ()) -> Path:
    """Download what the lock file pins, checked by its hashes, for a Python of a Debian; once.

    The machine's own pip does it, so that its configuration counts.

    Args:
        root: the Debian's folder.
        program: the Python.
        without: packages that aren't needed there.
    """
    code = "import platform; print(platform.python_version())"
    python = inside(root, program, "-c", code).strip()
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    chosen = _applicable(lock, python, without)
    folder = cache() / f"wheels-{python}-{hashlib.sha256(chosen.encode()).hexdigest()[:12]}"
    with locked(cache() / "wheels.lock"):
        if not folder.is_dir():
            _download(chosen, python, folder)
    return folder


def _applicable(lock: str, python: str, without: Collection[str]) -> str:
    """Keep the requirements whose markers hold: pip would take them for this interpreter's."""
    chosen = []
    for line in lock.replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        text, *hashes = line.split(" --hash=")
        requirement = Requirement(text)
        environment = {"python_full_version": python, "python_version": python[: python.rfind(".")]}
        holds = requirement.marker is None or requirement.marker.evaluate(environment)
        if holds and requirement.name not in without:
            pinned = f"{requirement.name}{requirement.specifier}"
            chosen.append(" --hash=".join([pinned, *hashes]))
    return "\n".join(chosen)


def _download(requirements: str, python: str, folder: Path) -> None:
    partial = folder.parent / f"{folder.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    (partial / "requirements.txt").write_text(requirements, encoding="utf-8")
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes")
    target = ("--only-binary=:all:", f"--python-version={python}", f"--dest={partial}")
    done = subprocess.run(
        [*pip, *target, "--requirement", str(partial / "requirements.txt")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    partial.rename(folder)
