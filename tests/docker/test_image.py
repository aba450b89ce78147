"""The service's image: what is in it and what isn't, its roles, and how it is built."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docker.engine import Engine, service_image
from tests.support.machines import ROOT

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(1800),
]  # the first may have to make all images

IN_CONTEXT = (
    "requirements.lock",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "docker",
    "slurm_tasks",
)


def run(engine: Engine, image: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a role to its end, with nothing writable but /tmp."""
    locked = ("--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL")
    return engine.attempt("run", "--rm", *locked, image, *argv)


def python(engine: Engine, image: str, code: str) -> str:
    """Run Python in the image, and return what it prints."""
    done = run(engine, image, "shell", "-c", f'python -c "{code}"')
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_runs_as_a_number_that_is_not_root(engine: Engine, image: str) -> None:
    """Kubernetes' runAsNonRoot needs a number; nothing of the service belongs to it."""
    assert engine.inspect(image)["Config"]["User"] == "10001:10001"
    done = run(engine, image, "shell", "-c", "id -u; test -w /opt/waldur-slurm-tasks || echo no")
    assert done.stdout.split() == ["10001", "no"]


def test_it_says_what_it_is_and_how_it_is(engine: Engine, image: str) -> None:
    """Labels tell version and revision; the heartbeat tells whether it lives."""
    config = engine.inspect(image)["Config"]
    prefix = "org.opencontainers.image."
    labels = {name.removeprefix(prefix): value for name, value in config["Labels"].items()}
    assert (labels["version"], labels["revision"], labels["licenses"]) == ("1.2.3", "abc123", "MIT")
    assert config["Healthcheck"]["Test"] == ["CMD", "slurm-tasks", "health"]
    assert "HEARTBEAT_FILE=/tmp/heartbeat" in config["Env"]


def test_nothing_is_left_of_the_build(engine: Engine, image: str) -> None:
    """Neither compilers nor pip nor a test's package are in the environment."""
    tools = "gcc cc make git pip pip3 uv"
    done = run(
        engine, image, "shell", "-c", f"for tool in {tools}; do command -v $tool; done; true"
    )
    assert (done.returncode, done.stdout) == (0, "")
    installed = set(json.loads(python(engine, image, DISTRIBUTIONS)))
    assert not installed & {"pip", "pytest", "mypy", "ruff", "uv", "hatchling", "starlette"}


DISTRIBUTIONS = (
    "import importlib.metadata as m, json;"
    " print(json.dumps({d.name.lower(): d.version for d in m.distributions()}))"
)


def test_it_has_what_the_lock_file_pins(engine: Engine, image: str) -> None:
    """Every package in it has the version that was tested."""
    installed = json.loads(python(engine, image, DISTRIBUTIONS))
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = {
        re.sub(r"[-_.]+", "-", name.lower()): version
        for name, version in re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", lock, re.MULTILINE)
    }
    del installed["waldur-slurm-tasks"]
    assert len(installed) > 20
    assert {re.sub(r"[-_.]+", "-", n): v for n, v in installed.items()}.items() <= pinned.items()


def test_its_bytecode_is_compiled(engine: Engine, image: str) -> None:
    """A process can't write it in a read-only container, and would compile at each start."""
    code = (
        "import slurm_tasks, pathlib, importlib.util as u;"
        " print([str(p) for p in pathlib.Path(slurm_tasks.__file__).parent.rglob('*.py')"
        " if not pathlib.Path(u.cache_from_source(str(p))).exists()])"
    )
    assert python(engine, image, code) == "[]\n"


def test_dockers_client_is_in_it(engine: Engine, image: str) -> None:
    """The head node's worker needs the client, at its default path; the engine isn't in it."""
    done = run(engine, image, "shell", "-c", "/usr/bin/docker --version; command -v dockerd; true")
    assert done.stdout.startswith("Docker version")
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("argv", [(), ("worker",)])
def test_a_role_that_it_lacks_is_refused(engine: Engine, image: str, argv: tuple[str, ...]) -> None:
    """Without a role, or with a wrong one, it names those that it has."""
    done = run(engine, image, *argv)
    assert done.returncode == 2
    for role in ("worker-waldur", "worker-headnode", "beat", "flower", "check", "shell"):
        assert role in done.stderr


@pytest.mark.parametrize(
    ("role", "missing"),
    [
        ("worker-waldur", "WALDUR_API_TOKEN"),
        ("worker-headnode", "SLURM_CONTAINER_NAME"),
        ("flower", "FLOWER_BASIC_AUTH"),
    ],
)
def test_a_role_without_its_settings_exits_with_2(
    engine: Engine, image: str, role: str, missing: str
) -> None:
    """The program's exit code is the container's, and its message says what to set."""
    done = run(engine, image, role)
    assert done.returncode == 2
    assert missing in done.stderr + done.stdout


def test_check_says_what_is_missing(engine: Engine, image: str) -> None:
    """The role `check` passes its arguments on, and needs no other process."""
    done = run(engine, image, "check", "--json")
    assert done.returncode == 1
    assert "WALDUR_API_URL is required" in done.stdout


def test_a_package_that_was_tampered_with_is_refused(engine: Engine, tmp_path: Path) -> None:
    """A file whose hash isn't the lock file's ends the build."""
    for name in (*IN_CONTEXT, "config-components.yaml"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    lock = tmp_path / "requirements.lock"
    text = lock.read_text(encoding="utf-8")
    lock.write_text(re.sub(r"sha256:[0-9a-f]{4}", "sha256:0000", text), encoding="utf-8")
    with pytest.raises(AssertionError, match="DO NOT MATCH THE HASHES"):
        service_image(engine, "tampered", tmp_path)


def test_the_demo_runs_in_one_container(engine: Engine) -> None:
    """With the extra `demo` an image shows the whole service, and ends with 0."""
    demo = service_image(engine, "demo", EXTRAS="demo")
    done = engine.attempt("run", "--rm", "--network=none", "--entrypoint=slurm-tasks", demo, "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Waldur and SLURM agree." in done.stdout
