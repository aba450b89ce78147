"""How the broker is reached: its URL and its TLS, checked before anything connects.

A URL is brought to the form that Celery and kombu both understand.
"""

import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

KINDS = ("redis", "rediss", "redis+socket", "sentinel")
_WRITTEN = (
    "write it as redis://user:password@broker.example.com:6379/0, with / # ? ; [ ] of the password"
    " as %2F %23 %3F %3B %5B %5D"
)
_TLS = ("ssl_cert_reqs", "ssl_check_hostname", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


@dataclass(frozen=True)
class BrokerUrl:
    """A broker's URL.

    Attributes:
        kind: its scheme, one of `KINDS`.
        text: as Celery gets it, with its password; several for Sentinels, separated by `;`.
        tls: redis-py's options of TLS that it has among its parameters; they aren't in the text.
    """

    kind: str
    text: str = field(repr=False)
    tls: Mapping[str, object] = field(default_factory=dict)


def parse(text: str) -> BrokerUrl:
    """Check a broker's URL.

    Raises:
        ValueError: it can't be used; says how it is written, and doesn't repeat it, as it may hold
            a password.
    """
    parts = [_split(one) for one in text.strip().split(";")]
    kind = parts[0].scheme
    if any(part.scheme != kind for part in parts) or (len(parts) > 1 and kind != "sentinel"):
        raise ValueError(
            f"only sentinel:// may name several servers, separated by ;. Or {_WRITTEN}"
        )
    if kind == "sentinel":
        parts = _alike(parts)
    parameters = dict(parse_qsl(parts[0].query, keep_blank_values=True))
    tls = _tls_options(parameters)
    if tls and kind != "rediss":
        raise ValueError(f"{min(tls)}: parameters of TLS are those of rediss://")
    if unknown := parameters.keys() - {*tls, "virtual_host"}:
        raise ValueError(f"{min(unknown)!r} is none of its parameters; or {_WRITTEN}")
    others = urlencode({name: value for name, value in parameters.items() if name not in tls})
    tail = f"?{others}" if others else ""
    # not urlunsplit: it leaves out an empty host's slashes
    written = (f"{kind}://{part.netloc}{part.path}{tail}" for part in parts)
    return BrokerUrl(kind, ";".join(written), tls)


def _split(text: str) -> SplitResult:
    """Split one URL.

    Raises:
        ValueError: it can't be used.
    """
    scheme = re.match(r"\s*([^:/?#]*)", text)
    if not scheme or scheme[1].lower() not in KINDS:
        raise ValueError(f"use one of {', '.join(KINDS)}, e.g. redis://localhost:6379/0")
    try:
        parts = urlsplit(text.strip())
        sound = parts.port != 0
    except ValueError:  # of a port that is no number, of half a bracket
        sound = False
    if not sound or parts.fragment or not re.fullmatch(r"[!-~]*", text.strip()):
        raise ValueError(_WRITTEN)
    if parts.scheme == "redis+socket":
        if parts.hostname or not parts.path.startswith("/"):
            raise ValueError("write it as redis+socket:///run/valkey/valkey.sock?virtual_host=0")
    elif not re.fullmatch(r"(/\d*)?", parts.path):
        raise ValueError(f"its path must be a database's number; {_WRITTEN}")
    return parts


def _alike(sentinels: list[SplitResult]) -> list[SplitResult]:
    """Give each Sentinel the login and the database that one of them has: they are the server's."""
    logins = dict.fromkeys(p.netloc.rpartition("@")[0] for p in sentinels if "@" in p.netloc)
    paths = dict.fromkeys(p.path for p in sentinels if p.path.strip("/"))
    if len(logins) > 1 or len(paths) > 1:
        raise ValueError("all Sentinels lead to one server: give one login and one database")
    login = f"{next(iter(logins))}@" if logins else ""
    path = next(iter(paths), "/0")
    if not all(p.hostname for p in sentinels):
        raise ValueError("write it as sentinel://:password@one:26379;sentinel://two:26379/0")
    return [
        p._replace(netloc=f"{login}{p.netloc.rpartition('@')[2]}", path=path) for p in sentinels
    ]


def _tls_options(parameters: Mapping[str, str]) -> dict[str, object]:
    """Return the parameters of TLS, in redis-py's types."""
    found: dict[str, object] = {name: parameters[name] for name in _TLS if name in parameters}
    if "ssl_cert_reqs" in found:
        folded = str(found["ssl_cert_reqs"]).lower().removeprefix("cert_")
        if folded not in {"required", "optional", "none"}:
            raise ValueError("ssl_cert_reqs is one of required, optional, none")
        found["ssl_cert_reqs"] = folded
    if "ssl_check_hostname" in found:
        found["ssl_check_hostname"] = str(found["ssl_check_hostname"]).lower() != "false"
    return found


def tls_options(
    verify: bool | str, certificate: Path | None, key: Path | None
) -> dict[str, object]:
    """Return redis-py's options of TLS.

    Args:
        verify: whether the server is verified, or the CAs' certificates to verify it with.
        certificate: the client's, if the server asks for one.
        key: its key, if it isn't in the same file.
    """
    options: dict[str, object] = {
        "ssl_cert_reqs": "required" if verify else "none",
        "ssl_check_hostname": bool(verify),
    }
    if isinstance(verify, str):
        options["ssl_ca_certs"] = verify
    if certificate:
        options["ssl_certfile"] = str(certificate)
    if key:
        options["ssl_keyfile"] = str(key)
    return options


def tls_problems(verify: bool | str, certificate: Path | None, key: Path | None) -> Iterator[str]:
    """Try to read the files of TLS, and yield what is wrong with them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if isinstance(verify, str):
        try:
            context.load_verify_locations(verify)
        except OSError as error:
            yield (
                f"CELERY_TLS_VERIFY: {verify} can't be read as certificates of CAs"
                f" ({_reason(error)}); name a PEM file"
            )
    if key and not certificate:
        yield "CELERY_TLS_KEY is set without CELERY_TLS_CERT: name the certificate, too"
    if certificate:
        try:
            context.load_cert_chain(certificate, key, password=_no_password)
        except (OSError, ValueError) as error:
            yield (
                f"CELERY_TLS_CERT, CELERY_TLS_KEY: {certificate} and its key can't be read"
                f" ({_reason(error)}); name PEM files, and a key without a password"
            )


def _no_password() -> str:
    """Answer OpenSSL, which would ask at the terminal."""
    return ""


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
