"""The broker as a store for locks: Redis or Valkey, by whichever kind of URL Celery has."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from celery import Celery
from kombu.exceptions import KombuError

from slurm_tasks.errors import TransientError

_SENTINEL = re.compile(r"<redis\.client\.Redis\(.*?,host=([^,]*),port=(\d+),.*?>\)>\)>")
"""A Sentinel as redis-py's errors name it."""


def require(app: Celery, shown: str) -> None:
    """Make sure that the broker answers.

    Args:
        app: Celery's application.
        shown: the broker's URL as a person may see it.

    Raises:
        TransientError: it doesn't.
    """
    with _unreachable(app, f"the broker {shown}"), app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0.1, timeout=5)
        connection.default_channel.client.ping()


@contextmanager
def _unreachable(app: Celery, what: str) -> Iterator[None]:
    """Turn the libraries' errors into one that says what to look at."""
    try:
        yield
    except (KombuError, redis.RedisError, OSError) as error:
        said = _SENTINEL.sub(r"\1:\2", str(error))
        raise TransientError(f"{what} can't be reached ({said}); {_advice(said, app)}") from error


def _advice(said: str, app: Celery) -> str:
    """Say what to look at, by what redis-py says."""
    if any(word in said for word in ("AuthenticationError", "WRONGPASS", "NOAUTH", "username")):
        return "the login? See CELERY_BROKER_URL, and for Sentinels CELERY_SENTINEL_PASSWORD"
    if "No master found" in said and "SSL:" not in said:
        return "do the Sentinels run, and know it by this name? See CELERY_SENTINEL_MASTER"
    if app.conf.broker_use_ssl:
        return (
            "is it running, and are its certificate and this client's right? See"
            " CELERY_BROKER_URL, CELERY_TLS_VERIFY, CELERY_TLS_CERT"
        )
    return "is it running? See CELERY_BROKER_URL"


@contextmanager
def connected(app: Celery) -> Iterator[redis.Redis]:
    """Borrow Celery's connections to the broker, TLS and Sentinel included; keys get no prefix.

    Raises:
        TransientError: it doesn't answer.
    """
    with app.connection_for_write() as connection:
        with _unreachable(app, "the broker"):
            pool: Any = connection.default_channel.pool
        yield redis.Redis(connection_pool=pool)


def first_of_many(app: Celery, key: str, seconds: int) -> bool:
    """Tell one of several processes that start within some seconds that it is the one.

    Raises:
        TransientError: the broker doesn't answer.
    """
    with connected(app) as client, _unreachable(app, "the broker"):
        return bool(client.set(f"waldur-slurm-tasks:{key}", "1", nx=True, ex=seconds))
