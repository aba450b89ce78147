"""The way to Waldur: which proxy, which certificates, and what is said of those that can't be."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from pydantic import SecretStr

from slurm_tasks import outgoing
from slurm_tasks.errors import ConfigurationError
from slurm_tasks.settings import Waldur

PROXY = "http://proxy.example.com:3128"


def settings_of(url: str = "https://waldur.example.com/api/", **changed: object) -> Waldur:
    """Return settings for a Waldur."""
    return Waldur.model_validate(
        {"api_url": url, "api_token": SecretStr("7e5ec2e7"), "offering_uuid": 32 * "0", **changed}
    )


def proxied(url: str, **environ: str) -> str | None:
    """Return the URL of the proxy by which a URL is reached."""
    found = outgoing.way(settings_of(url), environ).proxy
    return found.url if found else None


def problem_of(url: str = "https://waldur.example.com/api/", **environ: str) -> str:
    """Return what is wrong with the environment."""
    with pytest.raises(ConfigurationError) as caught:
        outgoing.way(settings_of(url), environ)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"https_proxy": PROXY}, PROXY),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other:1"}, PROXY),
        ({"https_proxy": "", "HTTPS_PROXY": PROXY}, None),
        ({"HTTPS_PROXY": PROXY, "ALL_PROXY": "socks5://other:1"}, PROXY),
        ({"ALL_PROXY": "socks5h://other:1"}, "socks5h://other:1"),
        ({"HTTP_PROXY": "not concerned"}, None),
        ({"HTTPS_PROXY": "proxy.example.com:3128"}, PROXY),
        ({"HTTPS_PROXY": "http://user:p%2Fw@proxy:1"}, "http://user:p%2Fw@proxy:1"),
        ({"HTTPS_PROXY": f" {PROXY}/ "}, f"{PROXY}/"),
    ],
)
def test_the_proxy_of_the_urls_scheme_is_taken(
    environ: dict[str, str], expected: str | None
) -> None:
    """Else that of everything; lower case wins, as with other programs."""
    assert proxied("https://waldur.example.com/api/", **environ) == expected


@pytest.mark.parametrize(
    ("url", "entries"),
    [
        ("https://waldur.example.com/", "*"),
        ("https://waldur.example.com/", "localhost, waldur.example.com"),
        ("https://waldur.example.com/", "localhost waldur.example.com"),
        ("https://waldur.example.com/", "EXAMPLE.com"),
        ("https://waldur.example.com/", ".example.com"),
        ("https://waldur.example.com/", "*.example.com"),
        ("https://waldur.example.com/", "waldur.example.com:443"),
        ("https://waldur.example.com/", "https://waldur.example.com/"),
        ("https://waldur.example.com:8443/", "waldur.example.com:8443"),
        ("https://waldur.example.com./", "waldur.example.com"),
        ("http://localhost:8080/", "localhost,fd00::/8"),
        ("http://10.1.2.3/", "10.0.0.0/8"),
        ("http://10.1.2.3:8080/", "10.1.2.3"),
        ("http://10.1.2.3:8080/", "10.1.2.3:8080"),
        ("http://[fd00::1]/", "localhost,fd00::/8"),
        ("http://[fd00::1]/", "[fd00::]/8"),
        ("http://[::1]/", "[::1]"),
        ("http://[::1]/", "::1"),
        ("http://[::1]:8080/", "[::1]:8080"),
        ("http://[::1]:8080/", "[0:0::1]"),
    ],
)
def test_hosts_without_a_proxy(url: str, entries: str) -> None:
    """NO_PROXY names hosts, domains, addresses and networks, each with a port if it likes."""
    assert proxied(url, ALL_PROXY=PROXY, NO_PROXY=entries) is None


@pytest.mark.parametrize(
    ("url", "entries"),
    [
        ("https://waldur.example.com/", ""),
        ("https://waldur.example.com/", "localhost,fd00::/8,[::1],10.0.0.0/8"),
        ("https://waldur.example.com/", "aldur.example.com"),
        ("https://waldur.example.com/", "waldur.example.com:8443"),
        ("https://waldur.example.com/", "http://waldur.example.com"),
        ("https://waldur.example.com/", ".,*.,[,],[::,/8,a/b,1.2.3.4/99,:80,::"),
        ("http://10.1.2.3/", "11.0.0.0/8,fd00::/8,2.3,10.1.2"),
        ("http://[fd00::1]/", "fd01::/16,10.0.0.0/8"),
    ],
)
def test_hosts_with_a_proxy_all_the_same(url: str, entries: str) -> None:
    """What means another host doesn't count, and what means none is no error."""
    assert proxied(url, ALL_PROXY=PROXY, NO_PROXY=entries) == PROXY


@pytest.mark.parametrize(
    "url",
    [
        "socks4://proxy:1080",
        "socks://proxy:1080",
        "ftp://proxy",
        "http://",
        "http://proxy:port",
        "http://proxy:99999",
        "http://user:hunter/2@proxy:3128",
        "http://user:1/2@proxy:3128",
        "http://user:hunter#2@proxy:3128",
        "http://user:1?2@proxy:3128",
        "http://[::1",
    ],
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_that_cannot_be_one_is_named(variable: str, url: str) -> None:
    """By its variable, with how it is written, and without its password."""
    problem = problem_of(**{variable: url})

    assert problem.startswith(f"{variable}: it is not the URL of a proxy; write http://")
    assert "hunter" not in problem


def test_a_broken_proxy_of_others_is_none_of_ours() -> None:
    """Neither that of another scheme, nor one that Waldur isn't reached by."""
    assert proxied("https://waldur.example.com/", HTTP_PROXY="ftp://x") is None
    assert proxied("http://localhost/", ALL_PROXY="socks4://x", NO_PROXY="localhost") is None


def test_a_proxys_password_isnt_shown() -> None:
    """Neither in words nor as a value."""
    found = outgoing.way(settings_of(), {"HTTPS_PROXY": "http://user:hunter2@proxy:3128"}).proxy

    assert str(found) == "the proxy http://********@proxy:3128 of HTTPS_PROXY"
    assert "hunter2" not in repr(found)


def test_the_passwords_of_all_proxies_are_known() -> None:
    """So that they can be taken out of what is reported."""
    environ = {"HTTPS_PROXY": "http://a:one@x", "all_proxy": "http://b:two@y", "HTTP_PROXY": ""}

    assert set(outgoing.proxies(environ)) == {"http://a:one@x", "http://b:two@y"}


@pytest.mark.parametrize("what", ["nothing", "a folder", "an empty file", "no certificates"])
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_VERIFY_SSL"])
def test_certificates_that_cannot_be_read_are_named(
    tmp_path: Path, what: str, variable: str
) -> None:
    """With the path and the reason, before the first request."""
    path = tmp_path / "ca.pem"
    match what:
        case "a folder":
            path.mkdir()
        case "an empty file":
            path.touch()
        case "no certificates":
            path.write_text("These are not the certificates that you look for.")
    if variable == "SSL_CERT_FILE":
        problem = problem_of(SSL_CERT_FILE=str(path))
    else:
        settings = settings_of().model_copy(update={"verify_ssl": str(path)})
        with pytest.raises(ConfigurationError) as caught:
            outgoing.way(settings, {})
        (problem,) = caught.value.problems

    assert problem.startswith(f"{variable}: {path} can't be read as a file of certificates (")
    assert "PEM" in problem


def test_a_folder_of_certificates_must_be_there(tmp_path: Path) -> None:
    """At least one of several, as OpenSSL reads them."""
    missing = str(tmp_path / "missing")

    assert problem_of(SSL_CERT_DIR=missing).startswith(
        f"SSL_CERT_DIR: there is no folder {missing}"
    )
    assert outgoing.way(settings_of(), {"SSL_CERT_DIR": f"{missing}:{tmp_path}"}).tls


def test_certificates_do_not_matter_without_tls() -> None:
    """A Waldur that is reached by http needs none."""
    found = outgoing.way(settings_of("http://waldur/"), {"SSL_CERT_FILE": "/nonexistent"})

    assert found.tls.verify_mode is ssl.CERT_REQUIRED
    assert found.tls.cert_store_stats()["x509"] == 0


def test_verification_is_off_only_if_told() -> None:
    """By default a server's certificate and its name are checked, against Mozilla's authorities."""
    usual, off = (outgoing.way(settings_of(verify_ssl=on), {}).tls for on in (True, False))

    assert (usual.verify_mode, usual.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert usual.cert_store_stats()["x509_ca"] > 50
    assert (off.verify_mode, off.check_hostname) == (ssl.CERT_NONE, False)
