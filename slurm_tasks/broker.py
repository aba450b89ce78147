"""The broker as a store for locks: Redis or Valkey, by whichever kind of URL Celery has."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from celery import Celery
from kombu.exceptions import KombuError

from slurm_tasks.errors import TransientError


def require(app: Celery, shown: str) -> None:
    """Make sure that the broker answers.

    Args:
        app: Celery's application.
        shown: the broker's URL as a person may see it.

    Raises:
        TransientError: it doesn't.
    """
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0.1, timeout=5)
            connection.default_channel.client.ping()
    except (KombuError, redis.RedisError, OSError) as error:
        raise TransientError(
            f"the broker {shown} can't be reached ({error}); is it running? See CELERY_BROKER_URL"
        ) from error


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
