"""The head node's side that a worker's process keeps between tasks, and the writer's lock."""

import functools
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from redis.exceptions import LockError, RedisError
from redis.lock import Lock

from slurm_tasks import broker, settings
from slurm_tasks.app import app
from slurm_tasks.errors import TransientError
from slurm_tasks.model.plan import QosRules, Rules
from slurm_tasks.slurm import lock
from slurm_tasks.slurm.cluster import SlurmCluster, Unix
from slurm_tasks.slurm.runner import ENVIRONMENT, Runner
from slurm_tasks.sync.cluster import HeadNode

LOCK_MARGIN = 60
"""Seconds that the lock in Redis outlives two commands: reads between writes don't extend it."""
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@functools.cache
def headnode() -> HeadNode:
    """Return this process's head node, made at the first task."""
    return make_headnode()


def make_headnode() -> HeadNode:
    """Make the head node's side from the settings."""
    slurm = settings.load(settings.Slurm)
    cluster = SlurmCluster(_runner(slurm), slurm.cluster, _unix(slurm))
    return HeadNode(
        cluster=cluster,
        lock=lambda: writer_lock(cluster.name, slurm),
        rules=Rules(
            slurm.prefixes,
            slurm.default_account,
            slurm.user_default,
            QosRules(slurm.paused_qos, slurm.downscaled_qos, slurm.usual_qos),
            finish_jobs=slurm.leavers_jobs == "finish",
        ),
        read_only=settings.load(settings.Service).read_only,
        unix_users=slurm.needs_unix_user,
        homes=slurm.homedirs,
    )


def _unix(slurm: settings.Slurm) -> Unix:
    """Say how the head node is asked for Unix users, and how a home is made."""
    return Unix(
        getent=str(slurm.getent),
        helper=str(slurm.homedir_helper),
        umask=slurm.homedir_umask,
        sudo=str(slurm.homedir_sudo or ""),
    )


def _runner(slurm: settings.Slurm) -> Runner:
    """Make the runner; commands see this environment and nothing of the worker's."""
    environment = ENVIRONMENT | ({"SLURM_CONF": slurm.conf} if slurm.conf else {})
    outside = {"PATH": PATH, "HOME": os.environ.get("HOME", "/")}
    if slurm.deployment == "native":
        return Runner(slurm.bin_dir, slurm.timeout, environment=environment | outside)
    inside = [f"--env={name}={value}" for name, value in environment.items()]
    outside |= {
        k: v for k, v in os.environ.items() if k.startswith("DOCKER_") and k != "DOCKER_PATH"
    }
    docker = (str(slurm.docker), "exec", *inside, str(slurm.container))
    return Runner(slurm.bin_dir, slurm.timeout, docker, outside)


class SharedLock(Lock):
    """The lock in Redis, as the writer wants it."""

    def take(self, token: str) -> bool:
        """Take it, also from a holder of the same token; else return False."""
        if self.acquire(blocking=False, token=token):
            return True
        self.local.token = self.redis.get_encoder().encode(token)
        try:
            return self.reacquire()  # one step at the broker: compares the token, sets its time
        except LockError:
            return False


@contextmanager
def writer_lock(cluster: str, slurm: settings.Slurm) -> Iterator[lock.Writer]:
    """Take the writer's lock of a cluster, on this host and at the broker.

    It is the cluster's, not the offering's: its key has no prefix.

    Raises:
        LockHeldError: somebody else writes at the moment.
        TransientError: the broker is away, and the lock with it.
    """
    seconds = 2 * slurm.timeout + LOCK_MARGIN
    with broker.connected(app) as client:
        name = f"{_lock_name(cluster)}:writer"
        shared = SharedLock(client, name, timeout=seconds, thread_local=False)
        try:
            with lock.writer(_lock_path(cluster, slurm), shared) as writer:
                yield writer
        except RedisError as error:
            raise TransientError(f"the broker is away, and the lock with it: {error}") from error


def host_lock(cluster: str) -> AbstractContextManager[lock.Writer]:
    """Take the writer's lock on this host alone: where no broker is.

    Raises:
        LockHeldError: somebody else on this host writes at the moment.
    """
    return lock.writer(_lock_path(cluster, settings.load(settings.Slurm)), None)


def _lock_name(cluster: str) -> str:
    return f"waldur-slurm-tasks-{cluster}"


def _lock_path(cluster: str, slurm: settings.Slurm) -> Path:
    return slurm.lock_dir / f"{_lock_name(cluster)}.lock"
