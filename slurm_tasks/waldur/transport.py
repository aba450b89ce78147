"""The transport: requests to Waldur, and what its answers mean.

Reads are repeated for a few seconds when the network or a proxy hiccups; writes never are: their
effect may have happened, and the flows look before they try again. Redirects are errors: one of
a POST would become a GET that looks like a success. Bodies are never logged: some of them carry
API tokens of other users.
"""

import json
import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpx
import stamina
import structlog
from waldur_api_client import AuthenticatedClient

from slurm_tasks import metrics, outgoing
from slurm_tasks.errors import ConfigurationError, WaldurError, WaldurRefusedError
from slurm_tasks.settings import Waldur as Settings
from slurm_tasks.version import __version__

log = structlog.stdlib.get_logger(__name__)

PAGE_SIZE = 300
SKEW_MAX = timedelta(hours=1)
ATTEMPTS = 4
PATIENCE = 10.0
"""Seconds that a read is repeated for; longer outages are the task's retry, then the schedule's."""

_PASSING = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
        # wrong or missing rights are the operator's to mend, and no order's fault
        HTTPStatus.UNAUTHORIZED,
    }
)
_PROBED = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})
_HICCUPS = frozenset({429, 502, 503, 504})
_UNTRUSTED = ". If it is a site's own CA, name its certificates in REQUESTS_VERIFY_SSL"
_UNAVAILABLE = "Offering is unavailable"
_UUID = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)

Query = Sequence[tuple[str, str | int]]


class UnavailableError(WaldurError):
    """Waldur is away for the moment; a read is worth another try at once."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ServerFaultError(WaldurError):
    """Waldur's code failed (500); it mostly does so again until somebody mends its data."""


class Transport:
    """One connection pool to Waldur's API.

    Args:
        settings: where it is, and the token.

        self.skew: timedelta | None = None
    Raises:
        ConfigurationError: no request can be sent as the settings and the environment say.
    """

    def __init__(self, settings: Settings) -> None:
        self._token = settings.api_token
        self.skew: timedelta | None = None
        way = outgoing.way(settings)
        self.proxy = way.proxy
        try:
            self._client = AuthenticatedClient(
                base_url=settings.api_url.removesuffix("/api/"),
                token=self._token.get_secret_value(),
                prefix="Token",
                timeout=httpx.Timeout(settings.timeout, connect=min(settings.timeout, 10)),
                verify_ssl=way.tls,
                headers={"User-Agent": f"waldur-slurm-tasks/{__version__}"},
                follow_redirects=False,
                httpx_args={"proxy": _httpx_proxy(way.proxy), "trust_env": False},
            ).get_httpx_client()
        except httpx.InvalidURL as error:
            variables = f"WALDUR_API_URL or {way.proxy.variable}" if way.proxy else "WALDUR_API_URL"
            raise ConfigurationError(
                f"{variables}: no request can be sent to it ({error})"
            ) from None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str, query: Query = (), *, probing: bool = False) -> Any:  # noqa: ANN401 - JSON is anything
        """Read one object.

        Args:
            path: below `/api/`, with the last slash.
            query: parameters, repeated ones included.
            probing: a refusal is an answer as good as any, and no failure in the metrics.

        Raises:
            WaldurError: Waldur is away, or its answer is not JSON.
            WaldurRefusedError: it said no.
        """
        return self._json(self._repeated(path, query, probing=probing))

    def has_route(self, path: str) -> bool:
        """Tell whether a route exists that takes posts only: reading it changes nothing.

        One that exists is refused in JSON (405, measured); one that doesn't is an HTML page.
        """
        try:
            self._repeated(path, (), probing=True)
        except WaldurRefusedError as error:
            return not error.route_missing
        return True

    def pages(self, path: str, query: Query = ()) -> Iterator[Any]:
        """Yield the rows of a list, over all of its pages."""
        for rows, _ in self._pages(path, query, PAGE_SIZE):
            yield from rows

    def listing(
        self, path: str, query: Query = (), size: int = PAGE_SIZE
    ) -> tuple[list[Any], int | None]:
        """Return the rows of a list, and how many there are by its own counts, at most.

        Args:
            path: below `/api/`, with the last slash.
            query: parameters, repeated ones included.
            size: rows of a page.
        """
        found: list[Any] = []
        counted: int | None = None
        for rows, count in self._pages(path, query, size):
            found += rows
            counted = max(filter(None, (count, counted)), default=count)
        return found, counted

    def _pages(self, path: str, query: Query, size: int) -> Iterator[tuple[list[Any], int | None]]:
        number = 1
        while True:
            asked = [*query, ("page", number), ("page_size", size)]
            try:
                response = self._repeated(path, asked)
            except WaldurRefusedError as error:
                if number > 1 and error.status == HTTPStatus.NOT_FOUND and not error.route_missing:
                    return  # rows went away while we were reading: the last page is no more
                raise
            rows = self._json(response)
            if not isinstance(rows, list):
                raise WaldurError(f"GET {path}: expected a list, got {type(rows).__name__}")
            count = response.headers.get("x-result-count", "")
            yield rows, int(count) if count.isascii() and count.isdigit() else None
            if 'rel="next"' not in response.headers.get("link", ""):
                return
            number += 1

    def post(self, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON is anything
        """Write, once.

        Returns:
            The answer's JSON; None where there is none.

        Raises:
            WaldurError: Waldur is away or did not answer; whether it took effect is unknown.
            WaldurRefusedError: it said no.
        """
        response = self._send("POST", path, (), body)
        return self._json(response) if response.content else None

    def _repeated(self, path: str, query: Query, *, probing: bool = False) -> httpx.Response:
        def worthwhile(error: Exception) -> bool | float:
            if not isinstance(error, UnavailableError):
                return False
            if error.retry_after is None:
                return True
            return error.retry_after if error.retry_after <= PATIENCE else False

        for attempt in stamina.retry_context(
            on=worthwhile, attempts=ATTEMPTS, timeout=PATIENCE, wait_initial=0.2, wait_max=3
        ):
            with attempt:
                return self._send("GET", path, query, probing=probing)
        raise AssertionError("stamina raises the last error")  # pragma: no cover

    def _send(
        self, method: str, path: str, query: Query, body: object = None, *, probing: bool = False
    ) -> httpx.Response:
        began = time.monotonic()
        status: int | None = None
        try:
            response = self._client.request(
                method,
                f"/api/{path}",
                params=[(key, str(value)) for key, value in query],
                json=body,
            )
            status = response.status_code
            self._note_clock(response)
        except httpx.HTTPError as error:
            # the type says what happened; the text of some errors repeats headers
            via = f" (through {self.proxy})" if self.proxy else ""
            hint = _UNTRUSTED if "CERTIFICATE_VERIFY_FAILED" in str(error) else ""
            raise UnavailableError(
                f"{method} {path}: {type(error).__name__}: {error}{via}{hint}"
            ) from error
        finally:
            seconds = round(time.monotonic() - began, 3)
            log.debug("waldur_request", method=method, path=path, status=status, seconds=seconds)
            endpoint = _UUID.sub("{uuid}", path)
            metrics.waldur_request_seconds.labels(method, endpoint).observe(seconds)
            expected = probing and status in _PROBED
            if status is None or (status >= HTTPStatus.MULTIPLE_CHOICES and not expected):
                metrics.waldur_request_failures.labels(method, endpoint, status or "none").inc()
        self._judge(f"{method} {path}", response)
        return response

    def _note_clock(self, response: httpx.Response) -> None:
        """Compare the clocks: the server's decides to which month a report is booked."""
        try:
            there = parsedate_to_datetime(response.headers.get("date", ""))
            skew = there - datetime.now(UTC)
        except (ValueError, TypeError):  # without it, or without a time zone
            return
        # a proxy's that is hours off says nothing of Waldur's own
        self.skew = skew if abs(skew) < SKEW_MAX else None

    def _judge(self, request: str, response: httpx.Response) -> None:
        status = response.status_code
        if response.is_success:
            return
        if response.is_redirect:
            place = self._without_token(response.headers.get("location", "?"))
            raise WaldurError(
                f"{request}: Waldur redirects to {place}; it is not followed. Correct"
                " WALDUR_API_URL (http or https, host, path)"
            )
        messages = _messages(self._without_token(response.text), html=_is_html(response))
        said = f"{request}: Waldur answered {status}: {'; '.join(messages)}"
        if status in _HICCUPS:
            raise UnavailableError(said, _retry_after(response))
        if status == HTTPStatus.UNAUTHORIZED:
            raise WaldurError(f"{said}. Check WALDUR_API_TOKEN")
        if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            raise WaldurError(f"{said}. It is {self.proxy} that wants other credentials")
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ServerFaultError(said)
        if status == HTTPStatus.BAD_REQUEST and any(_UNAVAILABLE in text for text in messages):
            raise WaldurError(f"{said}. Nothing is lost: make the offering available again")
        if response.is_server_error or status in _PASSING:
            raise WaldurError(said)
        raise WaldurRefusedError(request, status, messages, html=_is_html(response))

    def _without_token(self, text: str) -> str:
        """Take the token out of what a server says: errors go to logs, results and customers."""
        return text.replace(self._token.get_secret_value(), "[token]")

    def _json(self, response: httpx.Response) -> Any:  # noqa: ANN401 - JSON is anything
        try:
            return response.json()
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            request = f"{response.request.method} {response.request.url.path}"
            raise WaldurError(f"{request}: the answer is not JSON: {error}") from error


def _httpx_proxy(proxy: outgoing.Proxy | None) -> httpx.Proxy | None:
    return httpx.Proxy(proxy.url, ssl_context=proxy.tls) if proxy else None


def _is_html(response: httpx.Response) -> bool:
    return "html" in response.headers.get("content-type", "")


def _retry_after(response: httpx.Response) -> float | None:
    value = response.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() else None  # "²" is a digit, too


def _messages(body: str, *, html: bool) -> list[str]:
    """Find the sentences in an error's body, whichever of Waldur's shapes it has."""
    if html:
        title = re.search(r"<title>(.*?)</title>", body, re.DOTALL | re.IGNORECASE)
        return [f"an HTML page{f': {title[1].strip()[:100]}' if title else ''}"]
    try:
        return [text[:500] for text in _sentences(json.loads(body))][:10]
    except json.JSONDecodeError:
        return [body[:200]]


def _sentences(body: object, field: str = "") -> Iterator[str]:
    match body:
        case dict():
            for key, value in body.items():
                plain = key in {"detail", "details", "non_field_errors"}
                yield from _sentences(value, field if plain else str(key))
        case list():
            for value in body:
                yield from _sentences(value, field)
        case _:
            yield f"{field}: {body}" if field else str(body)
