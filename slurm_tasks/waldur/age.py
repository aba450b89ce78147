"""The server's age: which one it is, found with few requests, and corrected where it differs."""

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import structlog

from slurm_tasks.errors import WaldurError, WaldurRefusedError
from slurm_tasks.waldur.capabilities import (
    ROUTES,
    Capabilities,
    Generation,
    Version,
    of_server,
    parse_version,
)
from slurm_tasks.waldur.transport import Transport

log = structlog.stdlib.get_logger(__name__)

REFRESH = 3600.0
"""Seconds after which it is found out anew: servers are upgraded while workers run."""
NONE = 32 * "0"
"""The uuid of nothing, in a route that is looked for."""


class Server:
    """What is known of the server.

    Attributes:
        turned: a month (`YYYY-MM`) that has begun there for certain, as it takes nothing for the
            one before any more.
    """

    def __init__(self, http: Transport, offering_uuid: str) -> None:
        self._http = http
        self._offering = offering_uuid
        self._generation: Generation | None = None
        self._known: Capabilities | None = None
        self._looked_at = 0.0
        self._corrections: dict[str, Any] = {}
        self.turned = ""

    @property
    def generation(self) -> Generation:
        """Which provider API it has.

        Raises:
            WaldurError: Waldur is away.
            WaldurRefusedError: it refused to say.
        """
        if self._generation is None:
            self._generation = self._find_generation()
        return self._generation

    @property
    def capabilities(self) -> Capabilities:
        """What it can do; looked up once an hour.

        Raises:
            WaldurError: Waldur is away, and was never asked before.
            WaldurRefusedError: it refused to say.
        """
        if self._known is None:
            self._known = self._look_up()
        elif time.monotonic() > self._looked_at + REFRESH:
            try:
                self._renew(self._known)
            except WaldurError as error:
                log.info("waldur_version_unknown", reason=str(error), kept=self._known.name)
        return self._known

    @property
    def skew(self) -> timedelta:
        """How far its clock is ahead of ours, where that is known."""
        return self._http.skew or timedelta()

    def correct(self, reason: str, **changes: object) -> None:
        """Correct capabilities that turned out wrong, and tell the log once.

        Args:
            reason: what the server said.
            changes: the right values, by name.
        """
        known = self.capabilities
        if any(getattr(known, name) != value for name, value in changes.items()):
            self._corrections |= changes
            self._known = _changed(known, changes)
            told = {name: str(value) for name, value in changes.items()}
            log.warning("waldur_differs", server=known.name, reason=reason, **told)

    def forget(self) -> None:
        """Look it up again at the next request: it isn't the server that it was."""
        self._generation = self._known = None
        self._corrections = {}

    def _renew(self, known: Capabilities) -> None:
        self._looked_at = time.monotonic()
        self._generation = None
        found = self._look_up()
        if (found.generation, found.version) != (known.generation, known.version):
            log.warning("waldur_version_changed", before=known.name, now=found.name)
            self._corrections = {}
        self._known = _changed(found, self._corrections)

    def _look_up(self) -> Capabilities:
        generation = self.generation
        if generation is Generation.A:  # they can do the same, whatever their versions
            found = of_server(generation)
        else:
            staff = self._is_staff()
            version = self._version()
            found = of_server(
                generation, version or self._oldest(), exact=bool(version), staff=staff
            )
        self._looked_at = time.monotonic()
        log.info("waldur_version", server=found.name, dates=str(found.dates), staff=found.staff)
        return found

    def _find_generation(self) -> Generation:
        """Find the generation: a missing *route* is answered with an HTML page.

        Anything but that, a list or a refusal to a token of few rights (which newer servers of
        2025 give) leaves it open: what follows from a wrong guess would stay.
        """
        path = f"marketplace-provider-offerings/{self._offering}/orders/"
        try:
            rows = self._http.get(path, [("page_size", 1), ("field", "uuid")], probing=True)
        except WaldurRefusedError as error:
            if error.route_missing:
                return Generation.A
            if error.status != HTTPStatus.FORBIDDEN or error.html:
                raise
            # it may be a proxy that said no: look for another route that only newer ones have
            newer = self._http.has_route(f"marketplace-provider-resources/{NONE}/set_limits/")
            return Generation.B if newer else Generation.A
        if not isinstance(rows, list):
            raise WaldurError(f"GET {path}: expected a list, got {type(rows).__name__}")
        return Generation.B

    def _is_staff(self) -> bool:
        """Tell whether the token is staff's; the answer shows that to staff alone (measured)."""
        me = self._http.get("users/me/", [("field", "username"), ("field", "is_staff")])
        return isinstance(me, dict) and me.get("is_staff") is True

    def _version(self) -> Version:
        """Return the version, where this token may read it: before 8.1.2 only staff's may."""
        try:
            answer = self._http.get("version/", probing=True)
        except WaldurRefusedError:
            return ()
        return parse_version(answer.get("version")) if isinstance(answer, dict) else ()

    def _oldest(self) -> Version:
        """Return the oldest version that the server can be, by the routes that it has."""
        for version, route in reversed(ROUTES):
            if self._http.has_route(route.format(none=NONE, offering=self._offering)):
                return version
        return ()


def _changed(known: Capabilities, changes: Mapping[str, Any]) -> Capabilities:
    return replace(known, **changes)
