"""The service on each kind of broker: by a Unix socket, by TLS, by Sentinels that fail over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from slurm_tasks.demo.slurm import SlurmSimulator
from slurm_tasks.demo.stack import wait_until
from tests.support import brokers, service
from tests.support.brokers import ENCODED, PASSWORD, Guarded
from tests.support.certificates import Authority
from tests.support.service import PATIENCE, Service
from tests.support.shell import shell

SENTINEL = {
    "CELERY_SENTINEL_MASTER": brokers.MASTER,
    "CELERY_SENTINEL_PASSWORD": brokers.SENTINELS_PASSWORD,
}
LIMITS = {"cpu": 10, "gres/gpu": 1}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The site's authority."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def tls(authority: Authority) -> Mapping[str, str]:
    """Settings that trust the site's authority, with a client's certificate."""
    client = authority.issue("client")
    return {
        "CELERY_TLS_VERIFY": str(authority.certificate),
        "CELERY_TLS_CERT": str(client.certificate),
        "CELERY_TLS_KEY": str(client.key),
    }


@contextmanager
def running(folder: Path, broker: str, settings: Mapping[str, str]) -> Iterator[Service]:
    """Run the service on a broker, with a prefix of its keys."""
    environment = {
        **service.environment_of(SlurmSimulator.create(folder / "cluster"), folder),
        "CELERY_KEY_PREFIX": "one:",
        **settings,
    }
    with service.running(folder, environment, broker=broker) as run:
        yield run


def works(run: Service, name: str) -> None:
    """Let the schedule carry out an order, and the shell another and wait for its result."""
    project = run.project(name)
    run.create(project, name, LIMITS)
    order = run.waldur.order_create(project, f"{name} by hand", LIMITS)
    done = shell(run.environment, "orders", "process", order)
    assert (done.returncode, run.waldur.order(order)["state"]) == (0, "done"), done
    assert shell(run.environment, "check", "--workers").returncode == 0


def logs(run: Service) -> str:
    """Return all logs."""
    return "".join(run.stack.log(name) for name in ("control", "headnode", "beat"))


def keys_of(run: Service) -> set[str]:
    """Return the keys at the broker."""
    with run.app.connection_for_read() as connection:
        client = redis.Redis(connection_pool=connection.default_channel.pool)
        return {key.decode() for key in client.scan_iter()}


def test_by_a_unix_socket(tmp_path: Path) -> None:
    """The path may be any, and the password have any characters."""
    with brokers.by_socket(tmp_path) as url, running(tmp_path, url, {}) as run:
        works(run, "alice")
        assert all(key.startswith(("one:", "waldur-slurm-tasks")) for key in keys_of(run))
        assert PASSWORD not in logs(run)
        assert ENCODED not in logs(run)
        wrong = {**run.environment, "CELERY_BROKER_URL": url.replace(ENCODED, "wrong")}
        for command in ("check --workers", "members sync --local"):
            refused = shell(wrong, *command.split())
            assert (refused.returncode, "Traceback" in refused.stderr) == (1, False)
            assert "the login? See CELERY_BROKER_URL" in refused.stdout + refused.stderr


def test_by_tls(tmp_path: Path, authority: Authority, tls: Mapping[str, str]) -> None:
    """Broker, results and lock go by TLS, verified, with the client's certificate."""
    with brokers.by_tls(tmp_path, authority) as url:
        with running(tmp_path, url, tls) as run:
            works(run, "alice")
            assert all(key.startswith(("one:", "waldur-slurm-tasks")) for key in keys_of(run))
            assert PASSWORD not in logs(run)
            assert ENCODED not in logs(run)
        _refusals(url, tls, tmp_path)


def _refusals(url: str, tls: Mapping[str, str], folder: Path) -> None:
    """Try to reach it wrongly: each way is told in a sentence, by whoever tries."""
    other = Authority(folder, "other")
    unnamed = url.replace("localhost", "127.0.0.1")
    wrong = {
        "CERTIFICATE_VERIFY_FAILED": {**tls, "CELERY_TLS_VERIFY": str(other.certificate)},
        "self-signed certificate in certificate chain": {**tls, "CELERY_TLS_VERIFY": ""},
        "'127.0.0.1'": {**tls, "CELERY_BROKER_URL": unnamed},
        "": {"CELERY_TLS_VERIFY": tls["CELERY_TLS_VERIFY"]},
    }
    for reason, settings in wrong.items():
        done = shell({"CELERY_BROKER_URL": url, **settings}, "check", "--workers")
        assert done.returncode == 1
        assert reason in done.stdout, (reason, done)
        assert "CELERY_TLS_" in done.stdout
        assert "Traceback" not in done.stdout + done.stderr
    trusting = {**tls, "CELERY_TLS_VERIFY": "false", "CELERY_BROKER_URL": unnamed}
    assert "ok   broker" in shell(trusting, "check", "--workers").stdout


@pytest.mark.parametrize("secured", [False, True])
def test_by_sentinels(
    tmp_path: Path, authority: Authority, tls: Mapping[str, str], secured: bool
) -> None:
    """One Sentinel is down, and then the master: the other server takes over, orders go on."""
    settings = {**SENTINEL, **({**tls, "CELERY_SENTINEL_TLS": "true"} if secured else {})}
    with (
        brokers.by_sentinels(tmp_path, authority if secured else None) as guarded,
        running(tmp_path, guarded.sentinels, settings) as run,
    ):
        works(run, "alice")
        _fail_over(guarded)
        works(run, "bob")
        assert all(key.startswith(("one:", "waldur-slurm-tasks")) for key in keys_of(run))
        assert run.stack.running() == {"control", "headnode", "beat"}
        for secret in (PASSWORD, ENCODED, brokers.SENTINELS_PASSWORD):
            assert secret not in logs(run)


def _fail_over(guarded: Guarded) -> None:
    master, replica = guarded.servers
    assert guarded.master() == master.port
    master.kill()
    wait_until(lambda: guarded.master() == replica.port, "the replica is the master", PATIENCE)


def test_sentinels_that_know_no_such_master(tmp_path: Path) -> None:
    """It is told in a sentence that names the setting, as is a wrong password of theirs."""
    with brokers.by_sentinels(tmp_path) as guarded:
        wrong: dict[str, Mapping[str, str]] = {
            "No master found for 'other'": {**SENTINEL, "CELERY_SENTINEL_MASTER": "other"},
            "AuthenticationError": {**SENTINEL, "CELERY_SENTINEL_PASSWORD": "wrong"},
        }
        for reason, settings in wrong.items():
            broker = {"CELERY_BROKER_URL": guarded.sentinels}
            done = shell({**broker, **settings}, "check", "--workers")
            assert done.returncode == 1
            assert reason in done.stdout, done
            assert "CELERY_SENTINEL_" in done.stdout
            assert len(done.stdout) < 600, "redis-py shows all that it knows of each Sentinel"
            assert "Traceback" not in done.stdout + done.stderr
