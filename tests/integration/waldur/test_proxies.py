"""Waldur behind proxies and private certificates, as a site's environment names them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest

from slurm_tasks.errors import WaldurError
from slurm_tasks.settings import Waldur as Settings
from slurm_tasks.waldur.transport import Transport
from tests.integration.waldur.conftest import settings_of
from tests.support.certificates import Authority
from tests.support.proxies import proxy
from tests.support.scripted import Scripted, scripted

LOGIN = "service:p/#?@:ss"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A site's own authority."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secured(authority: Authority) -> Iterator[Scripted]:
    """A server with a certificate of that authority."""
    with scripted(authority.issue("127.0.0.1").server()) as script:
        yield script


def read(settings: Settings) -> object:
    """Make a transport, and read something."""
    with closing(Transport(settings)) as transport:
        return transport.get("users/me/")


def verifying(url: str) -> Settings:
    """Return settings for a server that is verified."""
    return settings_of(url).model_copy(update={"verify_ssl": True})


@pytest.mark.parametrize("kind", ["http", "socks5"])
@pytest.mark.parametrize("login", ["", LOGIN])
def test_by_a_proxy_to_a_private_certificate(
    secured: Scripted,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    kind: Literal["http", "socks5"],
    login: str,
) -> None:
    """Whatever characters are in the proxy's password, Waldur is reached, and verified."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    with proxy(kind, login) as running:
        monkeypatch.setenv("HTTPS_PROXY" if kind == "http" else "ALL_PROXY", running.url)
        assert read(verifying(secured.url)) == {}
    assert running.seen == [f"CONNECT {secured.url.split('/')[2]}"]
    assert all("roxy-" not in name for name in secured.headers[-1]), "Waldur sees no credentials"


def test_by_a_proxy_that_is_reached_by_tls(
    secured: Scripted, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its certificate is verified as well, by the environment's authorities."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    with proxy("https", LOGIN, authority.issue("127.0.0.1").server()) as running:
        monkeypatch.setenv("HTTPS_PROXY", running.url)
        assert read(verifying(secured.url)) == {}
        monkeypatch.setenv("SSL_CERT_FILE", "")
        trusted = settings_of(secured.url).model_copy(
            update={"verify_ssl": str(authority.certificate)}
        )
        with pytest.raises(WaldurError, match="CERTIFICATE_VERIFY_FAILED"):
            read(trusted)
    assert len(running.seen) == 1


def test_by_a_proxy_without_tls(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain request goes through HTTP_PROXY."""
    with proxy(login=LOGIN) as running:
        monkeypatch.setenv("HTTP_PROXY", running.url)
        assert read(settings_of(server.url)) == {}
    assert running.seen == [f"GET {server.url}users/me/"]
    assert server.asked == ["GET /api/users/me/"]


@pytest.mark.parametrize("entries", ["localhost,fd00::/8,127.0.0.0/8", "[::1],127.0.0.1"])
def test_past_a_proxy(server: Scripted, monkeypatch: pytest.MonkeyPatch, entries: str) -> None:
    """Networks and addresses in brackets are understood."""
    with proxy() as running:
        monkeypatch.setenv("HTTP_PROXY", running.url)
        monkeypatch.setenv("NO_PROXY", entries)
        assert read(settings_of(server.url)) == {}
    assert running.seen == []


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_a_proxy_that_refuses(
    secured: Scripted, monkeypatch: pytest.MonkeyPatch, kind: Literal["http", "socks5"]
) -> None:
    """The error says which proxy it was, and whose variable, but no password."""
    with proxy(kind, LOGIN) as running:
        monkeypatch.setenv("HTTPS_PROXY", running.url.replace("service", "others"))
        with pytest.raises(WaldurError, match=r"\(through the proxy .* of HTTPS_PROXY\)") as caught:
            read(verifying(secured.url))
    assert "ProxyError" in str(caught.value)
    assert "%2F" not in str(caught.value)
    assert "p/#" not in str(caught.value)


@pytest.mark.usefixtures("at_once")
def test_a_proxy_that_refuses_a_request_without_tls(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is the proxy's, and no order's fault."""
    with proxy(login=LOGIN) as running:
        monkeypatch.setenv("HTTP_PROXY", running.url.replace("service", "others"))
        with pytest.raises(WaldurError, match=r"407.*the proxy .* of HTTP_PROXY"):
            read(settings_of(server.url))
    assert server.asked == []


@pytest.mark.usefixtures("at_once")
def test_a_certificate_of_somebody_else(
    secured: Scripted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A server that can't be verified is an error, and gets no token."""
    monkeypatch.setenv("SSL_CERT_FILE", str(Authority(tmp_path, "other").certificate))
    before = len(secured.asked)
    with pytest.raises(WaldurError, match=r"CERTIFICATE_VERIFY_FAILED.*REQUESTS_VERIFY_SSL"):
        read(verifying(secured.url))
    assert len(secured.asked) == before
