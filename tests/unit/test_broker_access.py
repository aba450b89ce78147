"""How the broker is reached: which URLs are taken, and in which words the others are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from slurm_tasks import settings_view
from slurm_tasks.broker_access import parse, tls_options, tls_problems
from slurm_tasks.celery_settings import from_settings
from slurm_tasks.errors import ConfigurationError
from slurm_tasks.settings import Service, load


@pytest.mark.parametrize(
    "text",
    [
        "redis://",
        "redis://localhost",
        "redis://broker:6379/0",
        "redis://broker/15",
        "redis://[::1]:6379/0",
        "redis://:p%2F%23%3F%3Bw@broker:6379/0",
        "redis://user:pa:ss@broker/0",
        "redis://user:p@ss@broker/0",
        "rediss://user:password@broker:6380/1",
        "redis+socket:///run/valkey/valkey.sock",
        "redis+socket://:password@/run/valkey.sock?virtual_host=3",
        "sentinel://:password@one:26379/2",
    ],
)
def test_urls_that_are_taken_as_they_are(text: str) -> None:
    """Each kind, with and without a port, a login and a database."""
    found = parse(f" {text}\n")

    assert (found.kind, found.text, found.tls) == (text.split(":", maxsplit=1)[0], text, {})


@pytest.mark.parametrize(
    "text",
    [
        "redis://:hunter/#2@broker:6379/0",
        "redis://:hunter#2@broker:6379/0",
        "redis://:hunter/2@broker:6379/0",
        "redis://:1/2@broker:6379/0",
        "redis://:hunter?2@broker:6379/0",
        "redis://:hunter;2@broker:6379/0",
        "redis://:hunter[2@broker:6379/0",
        "redis://:hunter 2@broker:6379/0",
        "redis://:hunter\u00e4@broker:6379/0",
        "redis://broker:port/0",
        "redis://broker:99999/0",
        "redis://broker:0/0",
        "redis://broker/hunter",
        "redis://broker/0/1",
        "redis://broker/0#hunter",
        "redis://[::1/0",
        "redis://broker/0?socket_timeout=hunter",
        "redis://one/0;redis://two/0",
        "redis://one/0;sentinel://two/0",
    ],
)
def test_urls_that_lead_nowhere(text: str) -> None:
    """The message shows how it is written, with what must be encoded, and no part of a password."""
    with pytest.raises(ValueError, match=r"redis://user:password@broker\.example\.com") as caught:
        parse(text)
    assert "%2F" in str(caught.value)
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "use one of redis, rediss, redis[+]socket, sentinel"),
        ("amqp://user:hunter@broker", "use one of"),
        ("broker:6379", "use one of"),
        ("/run/valkey.sock", "use one of"),
        ("redis+socket://run/valkey.sock", "redis[+]socket:///run"),
        ("sentinel://", "sentinel://:password@one:26379"),
        ("sentinel://:hunter@one;sentinel://:hunter2@two", "one login and one database"),
        ("sentinel://one/1;sentinel://two/2", "one login and one database"),
        ("redis://broker?ssl_cert_reqs=none", "ssl_cert_reqs: .* rediss://"),
        ("rediss://broker?ssl_cert_reqs=maybe", "required, optional, none"),
    ],
)
def test_what_each_kind_needs(text: str, words: str) -> None:
    """Each problem in words of its own."""
    with pytest.raises(ValueError, match=words) as caught:
        parse(text)
    assert "hunter" not in str(caught.value)


def test_sentinels_get_one_login_and_one_database() -> None:
    """Celery and kombu take them from the first; a person may write them with any."""
    found = parse("sentinel://one:1; sentinel://:pw@two:2/3 ;sentinel://three:3")

    assert found.text == "sentinel://:pw@one:1/3;sentinel://:pw@two:2/3;sentinel://:pw@three:3/3"


def test_parameters_of_tls_are_taken_out() -> None:
    """There, they would stand in for all other options of TLS, and Celery takes false for true."""
    found = parse("rediss://b:1/0?ssl_cert_reqs=CERT_NONE&ssl_check_hostname=False&ssl_ca_certs=/a")

    assert found.text == "rediss://b:1/0"
    assert found.tls == {
        "ssl_cert_reqs": "none",
        "ssl_check_hostname": False,
        "ssl_ca_certs": "/a",
    }


def configured(**settings: object) -> dict[str, object]:
    """Return Celery's settings."""
    return from_settings(Service.model_validate(settings))


def test_tls_is_verified_by_default() -> None:
    """Of the broker and of the results: the certificate, and the name in it."""
    found = configured(broker_url="rediss://broker:6380/0")

    verified = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
    assert found["broker_use_ssl"] == found["redis_backend_use_ssl"] == verified


def test_tls_of_the_broker_is_not_that_of_the_results() -> None:
    """Each URL decides for itself."""
    found = configured(broker_url="redis://broker/0", result_backend="rediss://results/0")

    assert found["broker_use_ssl"] is None
    assert found["redis_backend_use_ssl"]


def test_verification_may_name_a_bundle_or_be_off() -> None:
    """And a client may show a certificate."""
    off = {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
    assert tls_options(False, None, None) == off
    assert tls_options("/ca.pem", Path("/c.pem"), Path("/k.pem")) == {
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
        "ssl_ca_certs": "/ca.pem",
        "ssl_certfile": "/c.pem",
        "ssl_keyfile": "/k.pem",
    }


def test_sentinels_have_a_login_and_tls_of_their_own() -> None:
    """With timeouts that let a Sentinel that is down cost little."""
    found = configured(
        broker_url="sentinel://:pw@one:1;sentinel://two:2/3",
        sentinel_master="site",
        sentinel_username="guard",
        sentinel_password="guards",
        sentinel_tls=True,
        key_prefix="one:",
    )

    for options in (found["broker_transport_options"], found["result_backend_transport_options"]):
        assert isinstance(options, dict)
        assert (options["master_name"], options["global_keyprefix"]) == ("site", "one:")
        asked = options["sentinel_kwargs"]
        assert (asked["username"], asked["password"]) == ("guard", "guards")
        assert asked["ssl"] is True
        assert asked["ssl_cert_reqs"] == "required"
        assert asked["socket_connect_timeout"] <= 3
        assert asked["retry"].get_retries() == 0
    assert found["broker_use_ssl"] == {"ssl_cert_reqs": "required", "ssl_check_hostname": True}


def test_results_have_the_same_timeouts() -> None:
    """Celery's backend reads other settings than kombu's transport."""
    found = configured()
    transport = found["broker_transport_options"]

    assert isinstance(transport, dict)
    for name in ("socket_timeout", "socket_connect_timeout", "socket_keepalive"):
        assert found[f"redis_{name}"] == transport[name]
    assert found["redis_backend_health_check_interval"] == transport["health_check_interval"]
    assert configured(broker_url="redis+socket:///s")["redis_socket_keepalive"] is False


def problems_of(monkeypatch: pytest.MonkeyPatch, **variables: str) -> list[str]:
    """Return what is wrong with some variables."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load(Service)
    return list(caught.value.problems)


def test_sentinels_need_a_masters_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever they are used."""
    (problem,) = problems_of(monkeypatch, CELERY_RESULT_BACKEND="sentinel://one:26379/0")
    assert problem.startswith("CELERY_SENTINEL_MASTER is required with sentinel://")


def test_files_of_tls_are_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """At the start, together with all other problems."""
    empty = tmp_path / "empty.pem"
    empty.touch()
    found = problems_of(
        monkeypatch,
        CELERY_TLS_VERIFY=str(empty),
        CELERY_TLS_CERT=str(tmp_path / "missing.pem"),
        CELERY_BROKER_URL="redis://:hunter/#2@broker/0",
    )

    assert [problem.split(":")[0] for problem in found] == [
        "CELERY_BROKER_URL",
        "CELERY_TLS_VERIFY",
        "CELERY_TLS_CERT, CELERY_TLS_KEY",
    ]
    assert "hunter" not in str(found)
    assert "No such file" in found[2]


def test_a_key_without_a_certificate_is_a_problem() -> None:
    """It would be ignored."""
    (problem,) = tls_problems(True, None, Path("/k.pem"))
    assert problem.startswith("CELERY_TLS_KEY is set without CELERY_TLS_CERT")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://broker/0", "redis://broker/0"),
        ("redis://user:hunter2@broker/0", "redis://********@broker/0"),
        (
            "sentinel://:hunter2@one:1;sentinel://:hunter2@two:2/3",
            "sentinel://********@one:1;sentinel://********@two:2/3",
        ),
        ("redis+socket://:hunter2@/run/s?virtual_host=1", "redis+socket://********@/run/s"),
        ("redis+socket:///run/s", "redis+socket:///run/s"),
        ("redis://:hunter/#2@broker/0", settings_view.MASK),
        ("redis://:1/hunter2@broker/0", settings_view.MASK),
        ("redis://:hunter[2@broker/0", settings_view.MASK),
    ],
)
def test_no_password_is_shown(monkeypatch: pytest.MonkeyPatch, text: str, shown: str) -> None:
    """Neither of the URLs that are taken nor of the others."""
    monkeypatch.setenv("CELERY_RESULT_BACKEND", text)
    found = {setting.variable: setting for setting in settings_view.describe()}

    assert found["CELERY_RESULT_BACKEND"].value == shown
    assert settings_view.mask_url(text) == shown
