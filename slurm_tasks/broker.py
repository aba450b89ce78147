"""The broker as a store for locks: Redis or Valkey, by whichever kind of URL Celery has."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from celery import Celery


@contextmanager
def connected(app: Celery) -> Iterator[redis.Redis]:
    """Borrow Celery's connections to the broker, TLS and Sentinel included; keys get no prefix."""
    with app.connection_for_write() as connection:
        pool: Any = connection.default_channel.pool
        yield redis.Redis(connection_pool=pool)


def first_of_many(app: Celery, key: str, seconds: int) -> bool:
    """Tell one of several processes that start within some seconds that it is the one."""
    with connected(app) as client:
        return bool(client.set(f"waldur-slurm-tasks:{key}", "1", nx=True, ex=seconds))
