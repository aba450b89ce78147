"""How Waldur is reached: the proxy and the certificates that this process's environment names.

httpx reads the same variables by itself. But it raises when its client is made: of a `NO_PROXY`
that other programs take (`fd00::/8`, `[::1]`), of variables that don't concern Waldur's URL, of
files that aren't there. So they are read here, for the one URL that counts, before anything starts.
"""

import ipaddress
import os
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import certifi

from slurm_tasks.errors import ConfigurationError
from slurm_tasks.settings import Waldur
from slurm_tasks.settings_view import mask_url

_PROXIES = ("http", "https", "socks5", "socks5h")
_BRACKETED = re.compile(r"\[(?P<address>[^]]*)\](?P<length>/\d+)?(?::(?P<port>\d+))?")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Proxy:
    """A proxy.

    Attributes:
        url: with its credentials.
        variable: the environment variable that names it.
        tls: how it is verified, if it is reached by TLS.
    """

    url: str = field(repr=False)
    variable: str
    tls: ssl.SSLContext | None = None

    def __str__(self) -> str:
        """Name it without its credentials."""
        return f"the proxy {mask_url(self.url)} of {self.variable}"


@dataclass(frozen=True)
class Way:
    """The way to Waldur.

    Attributes:
        proxy: None where Waldur is reached directly.
        tls: how Waldur is verified.
    """

    proxy: Proxy | None
    tls: ssl.SSLContext


def way(settings: Waldur, environ: Mapping[str, str] | None = None) -> Way:
    """Find out how Waldur is reached.

    Args:
        settings: its URL, and what verifies it.
        environ: where the proxies and certificates are named; by default the process's environment.

    Raises:
        ConfigurationError: a variable names something that can't be used.
    """
    environ = os.environ if environ is None else environ
    target = urlsplit(settings.api_url)
    proxy = _proxy(target, environ)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which trusts nobody, and isn't used for http
    if target.scheme == "https":
        tls = _verified(settings.verify_ssl, environ)
    return Way(proxy, tls)


def proxies(environ: Mapping[str, str] | None = None) -> Iterator[str]:
    """Yield the URLs of all proxies that the environment names: their passwords are secret."""
    environ = os.environ if environ is None else environ
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            if environ.get(variable):
                yield environ[variable]


def _proxy(target: SplitResult, environ: Mapping[str, str]) -> Proxy | None:
    """Find the proxy for a URL: of its scheme's variable, else of ALL_PROXY; lower case wins."""
    for name in (f"{target.scheme}_proxy", "all_proxy"):
        variable = name if name in environ else name.upper()
        if environ.get(variable, "").strip():
            break
    else:
        return None
    unproxied = environ["no_proxy"] if "no_proxy" in environ else environ.get("NO_PROXY", "")
    if any(_covers(entry, target) for entry in re.split(r"[,\s]+", unproxied) if entry):
        return None
    url = _proxy_url(variable, environ[variable].strip())
    tls = _verified(True, environ) if url.startswith("https:") else None
    return Proxy(url, variable, tls)


def _proxy_url(variable: str, text: str) -> str:
    """Return a proxy's URL, with its scheme.

    Raises:
        ConfigurationError: it is none; what it says isn't repeated, as it may hold a password.
    """
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        sound = parts.scheme in _PROXIES and parts.hostname and parts.port != 0
    except ValueError:  # of a port that is no number
        sound = False
    if not sound or parts.path.strip("/") or parts.query or parts.fragment:
        raise ConfigurationError(
            f"{variable}: it is not the URL of a proxy; write http://proxy.example.com:3128 (or"
            " https, socks5, socks5h), with / # ? @ of a password as %2F %23 %3F %40, or name"
            " Waldur's host in NO_PROXY"
        )
    return url


def _covers(entry: str, target: SplitResult) -> bool:
    """Tell whether an entry of NO_PROXY means a URL: by name, domain, address or network."""
    scheme, separator, rest = entry.rpartition("://")
    if separator:
        if scheme not in {target.scheme, "all"}:
            return False
        entry = rest.rstrip("/")
    if entry == "*":
        return True
    name, port = _name_and_port(entry)
    host = str(target.hostname).rstrip(".")
    if port and int(port) != (target.port or _PORTS[target.scheme]):
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        domain = name.lower().removeprefix("*").strip(".")
        return bool(domain) and (host == domain or host.endswith(f".{domain}"))
    try:
        return address in ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False


def _name_and_port(entry: str) -> tuple[str, str]:
    """Split an entry of NO_PROXY; IPv6 addresses stand in brackets where a port follows."""
    if found := _BRACKETED.fullmatch(entry):
        return f"{found['address']}{found['length'] or ''}", found["port"] or ""
    name, separator, port = entry.partition(":")
    if separator and port.isascii() and port.isdigit():
        return name, port
    return entry, ""


def _verified(verify: bool | str, environ: Mapping[str, str]) -> ssl.SSLContext:
    """Return how a server is verified: not, by a bundle, by the environment's, by Mozilla's."""
    if verify is False:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    if isinstance(verify, str):
        return _loaded("REQUESTS_VERIFY_SSL", verify)
    file, folders = environ.get("SSL_CERT_FILE"), environ.get("SSL_CERT_DIR")
    if folders and not any(Path(folder).is_dir() for folder in folders.split(":")):
        raise ConfigurationError(
            f"SSL_CERT_DIR: there is no folder {folders}; correct it, or unset it"
        )
    if file:
        return _loaded("SSL_CERT_FILE", file, folders)
    return ssl.create_default_context(cafile=None if folders else certifi.where(), capath=folders)


def _loaded(variable: str, file: str, folders: str | None = None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=file, capath=folders or None)
    except OSError as error:
        known = isinstance(error, ssl.SSLError) and error.reason
        reason = known.replace("_", " ").lower() if known else error.strerror
        raise ConfigurationError(
            f"{variable}: {file} can't be read as a file of certificates ({reason}); name a PEM"
            " file that holds those of the CAs"
        ) from error
