"""The units as files: what they say together with what they have in common."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "systemd"
SERVICES = sorted(
    path.name.replace("@.", "@pull.") for path in SOURCES.glob("waldur-slurm-tasks-*.service")
)
ENVIRONMENT_FILES = sorted(SOURCES.glob("*.env"))


def service(name: str) -> dict[str, list[str]]:
    """Return the settings of a unit's [Service] section, the common ones first."""
    common = SOURCES / "waldur-slurm-tasks-.service.d" / "common.conf"
    unit = SOURCES / name.replace("@pull", "@")
    settings: dict[str, list[str]] = {}
    for path in (common, unit):
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
        section = text.partition("[Service]\n")[2].partition("\n[")[0]
        for line in section.splitlines():
            if line and not line.startswith("#"):
                key, _, value = line.partition("=")
                settings.setdefault(key, []).append(value)
    return settings


def command(name: str) -> list[str]:
    """Return the command line of a unit."""
    (line,) = service(name)["ExecStart"]
    return line.split()
