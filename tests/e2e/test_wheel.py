"""The wheel, installed into an empty environment and used from another directory, is complete."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("wheel")  # one environment for all of them

ROOT = Path(__file__).parents[2]


def _run(*argv: str, cwd: Path) -> str:
    clean = {key: os.environ[key] for key in os.environ if not key.startswith(("WALDUR", "SLURM"))}
    clean.pop("VIRTUAL_ENV", None)
    done = subprocess.run(
        argv, cwd=cwd, env=clean, capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and install it into an environment of its own, as the README tells to."""
    folder = tmp_path_factory.mktemp("wheel")
    # not the environment that these tests run in, even if the lock file is newer
    make = ("make", "--silent", "-C", str(ROOT), "--old-file=.venv/.ready")
    _run(*make, "wheel", f"DIST={folder}", cwd=folder)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "environment"
    _run(sys.executable, "-m", "venv", str(environment), cwd=folder)
    constraints = ("--constraint", str(folder / "constraints.txt"))
    pip = str(environment / "bin" / "pip")
    _run(pip, "install", "--quiet", *constraints, str(wheel), cwd=folder)
    return environment / "bin"


def test_the_wheel_is_complete(installed: Path, tmp_path: Path) -> None:
    """Celery finds the application, and the shell prints a configuration that it accepts."""
    report = _run(str(installed / "celery"), "-A", "slurm_tasks", "report", cwd=tmp_path)
    assert "slurm_tasks.cluster.*" in report
    example = _run(str(installed / "slurm-tasks"), "components", "example", cwd=tmp_path)
    assert example == (ROOT / "config-components.yaml").read_text()
    _run(str(installed / "slurm-tasks"), "settings", cwd=tmp_path)


def test_the_demo_says_what_it_misses(installed: Path, tmp_path: Path) -> None:
    """Without the demo's packages the demo names them."""
    done = subprocess.run(
        [installed / "slurm-tasks", "demo"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "waldur-slurm-tasks[demo]" in done.stderr
