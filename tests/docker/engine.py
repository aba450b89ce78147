"""A Docker engine of the tests' own: Debian's, without a registry and without bridges.

Images and their layers are kept between test runs; containers are not.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from slurm_tasks.demo.stack import wait_until
from tests.support.clusters import cache
from tests.support.machines import ROOT, bound, debian, locked, need_program, wheels

CLIENT = "/usr/bin/docker"
_DAEMON = "/usr/sbin/dockerd"
_PATIENCE = 60.0


class Engine:
    """An engine with its data and its socket in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "docker.sock"
        self.environment = {"DOCKER_HOST": f"unix://{self.socket}"}
        self._daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        plain = ("--iptables=false", "--ip6tables=false", "--bridge=none")
        places = (f"--data-root={self.folder / 'data'}", f"--exec-root={self.folder / 'exec'}")
        files = (f"--pidfile={self.folder / 'docker.pid'}", f"--host=unix://{self.socket}")
        log = self.folder / "dockerd.log"
        with log.open("ab") as output:
            daemon = subprocess.Popen(
                bound(_DAEMON, *plain, *places, *files),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

        def answers() -> bool:
            assert daemon.poll() is None, f"the engine ended, see {log}"
            return self.attempt("version").returncode == 0

        self._daemon = daemon
        wait_until(answers, f"the engine answers (see {log})", _PATIENCE)

    def stop(self) -> None:
        """End it, and its containers with it."""
        if self._daemon:
            self._daemon.terminate()
            try:
                self._daemon.wait(_PATIENCE)
            finally:
                self._daemon.kill()
        # it leaves a mount behind, which would keep the folder from being removed
        namespace = str(self.folder / "exec" / "netns" / "default")
        subprocess.run(["umount", "--quiet", namespace], check=False)

    def attempt(
        self, *argv: str, text: str | None = None, stdin: IO[bytes] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the docker client, whatever comes of it."""
        given = {"input": text} if text is not None else {"stdin": stdin or subprocess.DEVNULL}
        return subprocess.run(
            [CLIENT, *argv],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
            **given,
        )

    def run(self, *argv: str, text: str | None = None) -> str:
        """Run the docker client successfully, and return what it printed."""
        done = self.attempt(*argv, text=text)
        assert done.returncode == 0, f"docker {' '.join(argv)}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def inspect(self, name: str) -> Any:  # noqa: ANN401 - JSON
        """Return all about a container or an image."""
        return json.loads(self.run("inspect", name))[0]

    def build(self, tag: str, *where: str, dockerfile: str | None = None) -> str:
        """Build an image, and return its tag; layers that are there already are used again.

        Args:
            tag: its name.
            where: further options, and the context; nothing: there is none.
            dockerfile: the text of its Dockerfile.
        """
        build = ("build", "--quiet", "--network=host", f"--tag={tag}")
        self.run(*build, *(where or ("-",)), text=dockerfile)
        return tag

    @contextmanager
    def container(self, name: str, *argv: str) -> Iterator[str]:
        """Run a container in the host's network for the length of a block."""
        self.run("run", "--detach", f"--name={name}", "--network=host", *argv)
        try:
            yield name
        finally:
            self.run("rm", "--force", "--volumes", name)


@contextmanager
def running_engine() -> Iterator[Engine]:
    """Have the engine running, for this process alone."""
    need_program(_DAEMON, "docker.io")
    need_program("ps", "procps")  # what `docker top` runs
    engine = Engine(cache() / "engine")
    with locked(engine.folder / "use.lock"):
        engine.start()
        try:
            if left := engine.run("ps", "--all", "--quiet").split():
                engine.run("rm", "--force", "--volumes", *left)
            engine.run("image", "prune", "--force", "--filter=until=168h")  # of other trees
            yield engine
        finally:
            engine.stop()


def base_image(engine: Engine) -> str:
    """Make the image that all others start from, a Debian with Python; return its tag."""
    root = _debian()
    tag = f"waldur-slurm-tests/base:{(root / '.recipe').stat().st_mtime_ns}"
    if engine.attempt("image", "inspect", tag).returncode:
        with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as tar:
            done = engine.attempt("import", "-", tag, stdin=tar.stdout)
        assert (tar.returncode, done.returncode) == (0, 0), done.stderr
    return tag


def _debian() -> Path:
    return debian("docker", "trixie", "ca-certificates", "python3", "python3-venv")


def tools_image(engine: Engine) -> str:
    """Make an image with what stands around the service; return its tag.

    SLURM's clients for the head node, Valkey, and socat: all as Debian has them.
    """
    packages = "slurm-client valkey-server valkey-tools socat"
    install = f"apt-get update && apt-get install --yes --no-install-recommends {packages}"
    dockerfile = f"FROM {base_image(engine)}\nRUN {install}\n"
    return engine.build("waldur-slurm-tests/tools", dockerfile=dockerfile)


def service_image(engine: Engine, tag: str, context: Path = ROOT, **arguments: str) -> str:
    """Build the service's own image, and return its tag.

    Its packages were downloaded before: they are in the image that the build starts from.
    """
    base = base_image(engine)
    dockerfile = f"FROM {base}\nCOPY . /wheels\nENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels\n"
    locked_wheels = ("--file=-", str(wheels(_debian())))
    build = engine.build("waldur-slurm-tests/build", *locked_wheels, dockerfile=dockerfile)
    given = {"BASE_IMAGE": base, "BUILD_IMAGE": build, **arguments}
    options = [f"--build-arg={name}={value}" for name, value in given.items()]
    file = f"--file={context / 'docker' / 'Dockerfile'}"
    return engine.build(f"waldur-slurm-tests/{tag}", file, *options, str(context))
