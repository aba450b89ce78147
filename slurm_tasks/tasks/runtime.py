"""What tasks have in common: how they retry, and what a worker's process keeps between them."""

import functools
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from slurm_tasks import settings
from slurm_tasks.app import app
from slurm_tasks.errors import TransientError

if TYPE_CHECKING:
    from slurm_tasks.slurm.lock import Writer
    from slurm_tasks.sync.cluster import HeadNode
    from slurm_tasks.sync.control import Control

RETRIES = 7
BACKOFF, BACKOFF_MAX = 2, 60
"""Seconds until a retry: 2, 4, 8, … 60: about two minutes. Longer outages are the schedule's."""
LOCK_MARGIN = 60


def task(name: str, *, retries: int = RETRIES) -> Callable[[Callable[..., Any]], Any]:
    """Declare a task: typed JSON in and out, retried when an error is transient.

    Results are kept for an hour: people at the shell wait for them.
    """
    declared: Callable[[Callable[..., Any]], Any] = app.task(
        name=name,
        bind=True,
        pydantic=True,
        pydantic_strict=False,
        ignore_result=False,
        autoretry_for=(TransientError,),
        max_retries=retries,
        retry_backoff=BACKOFF,
        retry_backoff_max=BACKOFF_MAX,
        retry_jitter=True,
    )
    return declared


def hand_over(task: Any, signature: Any) -> NoReturn:  # noqa: ANN401 - Celery's own types
    """Let other tasks go on in a task's place: its result will be that of the last of them."""
    task.replace(signature)
    raise AssertionError("Celery's replace() does not return")  # pragma: no cover


def message_lifetime() -> float:
    """Seconds after which a message about an order is stale: the schedule has sent another."""
    return 2 * settings.load(settings.Service).orders_interval


@functools.cache
def headnode() -> "HeadNode":
    """Return this process's head node, made at the first task."""
    return make_headnode()


def make_headnode() -> "HeadNode":
    """Make the head node's side from the settings."""
    import os
    from pathlib import PurePosixPath

    from slurm_tasks.model.plan import Rules
    from slurm_tasks.slurm.cluster import SlurmCluster
    from slurm_tasks.slurm.runner import Runner
    from slurm_tasks.sync.cluster import HeadNode

    slurm = settings.load(settings.Slurm)
    service = settings.load(settings.Service)
    environment = {"LC_ALL": "C", "TZ": "UTC", "SLURM_TIME_FORMAT": "standard"}
    environment |= {"SLURM_CONF": slurm.conf} if slurm.conf else {}
    docker: tuple[str, ...] = ()
    if slurm.deployment == "docker":
        inside = [f"--env={key}={value}" for key, value in environment.items()]
        docker = (str(slurm.docker), "exec", *inside, str(slurm.container))
        environment |= {k: v for k, v in os.environ.items() if k.startswith("DOCKER_")}
    environment |= {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": os.environ.get("HOME", "/")}
    cluster = SlurmCluster(
        Runner(PurePosixPath(slurm.bin_dir), slurm.timeout, docker, environment), slurm.cluster
    )
    return HeadNode(
        cluster=cluster,
        lock=lambda: writer_lock(cluster.name, slurm),
        rules=Rules(slurm.prefixes, slurm.default_account, slurm.user_default),
        read_only=service.read_only,
        homes=slurm.homedirs,
    )


@contextmanager
def writer_lock(cluster: str, slurm: settings.Slurm) -> "Iterator[Writer]":
    """Take the writer's lock of a cluster, on this host and at the broker.

    It is the cluster's, not the offering's: no key prefix.
    """
    from redis.exceptions import RedisError
    from redis.lock import Lock

    from slurm_tasks.slurm import lock

    name = f"waldur-slurm-tasks-{cluster}"
    path = Path(slurm.lock_dir) / f"{name}.lock"
    with _redis() as client:
        shared = Lock(
            client, f"{name}:writer", timeout=2 * slurm.timeout + LOCK_MARGIN, thread_local=False
        )
        try:
            with lock.writer(path, shared) as writer:
                yield writer
        except RedisError as error:
            raise TransientError(f"the broker is away, and the lock with it: {error}") from error


@contextmanager
def _redis() -> Iterator[Any]:
    """Borrow the broker's connections, whatever kind of URL it has; keys get no prefix."""
    import redis

    with app.connection_for_write() as connection:
        yield redis.Redis(connection_pool=connection.default_channel.pool)


def first_of_many(what: str, seconds: int) -> bool:
    """Tell one of several processes that start together that it is the one."""
    prefix = settings.load(settings.Service).key_prefix
    offering = hashlib.sha256(settings.load(settings.Waldur).offering_uuid.encode()).hexdigest()
    with _redis() as client:
        key = f"{prefix}waldur-slurm-tasks:{what}:{offering[:16]}"
        return bool(client.set(key, "1", nx=True, ex=seconds))


@functools.cache
def control() -> "Control":
    """Return this process's control side, made at the first task and kept with its connections."""
    from slurm_tasks.sync.control import connect

    service = settings.load(settings.Service)
    return connect(settings.load(settings.Waldur), read_only=service.read_only)
