"""The service's shell as an operator uses it."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

SHELL = str(Path(sys.executable).with_name("slurm-tasks"))


def shell(
    environment: Mapping[str, str], *argv: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `slurm-tasks` with the settings given and nothing of ours."""
    return subprocess.run(
        [SHELL, *argv],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
