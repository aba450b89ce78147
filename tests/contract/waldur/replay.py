"""Replays recorded exchanges of a real server against the simulator and compares the answers.

Uuids differ between the two; they are learned from the answers, key by key: where the recorded
answer has one uuid and the simulator's another, later requests go out with the latter.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from slurm_tasks.demo.waldur import WaldurSimulator

RECORDINGS = Path(__file__).parents[2] / "recordings" / "waldur"
RECORDED_URL = "https://waldur.example.com/api/"

_ASKER = re.compile(r"(?:^|\|\| )\[([a-z0-9 ]+)(, project)?\]")
_SECOND = re.compile(r"\(t=([0-9.]+)s\)")
_UUID = re.compile(r"[0-9a-f]{32}|[0-9A-F]{32}")
_DASHED = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# Values that tell of the recorded server or moment rather than of its behaviour.
VOLATILE = {
    "accounting_start_date",
    "agreement_date",
    "category_icon",
    "consumer_reviewed_at",
    "created",
    "customer_abbreviation",
    "customer_slug",
    "date",
    "date_joined",
    "last_request_timestamp",
    "modified",
    "order_count",
    "propagation_date",
    "provider_reviewed_at",
    "resources_count",
    "role_uuid",
    "service_settings",
    "service_settings_uuid",
    "slug",
    "start",
    "token",
    "user_slug",
}


@dataclass(frozen=True)
class Exchange:
    """One recorded request and its answer."""

    note: str
    method: str
    path: str
    query: Any
    request_body: Any
    status: int
    response_headers: dict[str, str]
    response: Any

    @property
    def asker(self) -> str:
        """Who asked, as the notes of the project's own recordings say: `[provider, project]`."""
        found = _ASKER.search(self.note)
        return found[1] if found else ""

    @property
    def by_the_project(self) -> bool:
        """Whether the project itself sent it, not a person by hand."""
        found = _ASKER.search(self.note)
        return bool(found and found[2])

    @property
    def second(self) -> float:
        """At which second of the file, as those notes say."""
        found = _SECOND.search(self.note)
        return float(found[1]) if found else 0.0

    @property
    def content_type(self) -> str:
        """The answer's type without parameters; empty where there was no body."""
        return self.response_headers.get("content-type", "").partition(";")[0]

    def pairs(self) -> list[tuple[str, str]]:
        """Return the query as pairs."""
        items = self.query.items() if isinstance(self.query, dict) else self.query or []
        return [
            (name, str(value))
            for name, values in items
            for value in (values if isinstance(values, list) else [values])
        ]


def exchanges(name: str) -> list[Exchange]:
    """Return the exchanges of a recording."""
    text = (RECORDINGS / f"{name}.json").read_text(encoding="utf-8")
    return [Exchange(**entry) for entry in json.loads(text)]


@dataclass
class Replay:
    """A simulator that answers recorded requests."""

    waldur: WaldurSimulator
    client: httpx.Client
    uuids: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    """What is called otherwise in the simulator, by its name in the recordings."""
    counts: bool = False
    """Whether the simulator has all that the recorded server had, so that lists are as long."""

    def send(self, exchange: Exchange, authorization: str | None) -> httpx.Response:
        """Send a recorded request with the simulator's uuids."""
        root = self.waldur.url.removesuffix("/api/")
        headers = {} if authorization is None else {"Authorization": authorization}
        body: dict[str, Any] = {}
        if isinstance(exchange.request_body, str):
            body["content"] = exchange.request_body
            xml = exchange.request_body.startswith("<")
            headers["Content-Type"] = "application/xml" if xml else "application/json"
        elif exchange.request_body is not None:
            body["json"] = json.loads(self.localise(json.dumps(exchange.request_body)))
        query = httpx.QueryParams(
            [(name, self.localise(value)) for name, value in exchange.pairs()]
        )
        path = self.localise(exchange.path)
        return self.client.request(
            exchange.method, root + path, params=query, headers=headers, **body
        )

    def differences(self, exchange: Exchange, answer: httpx.Response) -> list[str]:
        """Return where an answer differs from the recorded one: status, type, keys, values."""
        found = []
        if answer.status_code != exchange.status:
            found.append(f"status {answer.status_code}, recorded {exchange.status}")
        content_type = answer.headers.get("content-type", "").partition(";")[0]
        if content_type != exchange.content_type:
            found.append(f"content type {content_type}, recorded {exchange.content_type}")
        allow, recorded = answer.headers.get("allow"), exchange.response_headers.get("allow")
        if recorded is not None and allow != recorded:
            found.append(f"allow {allow}, recorded {recorded}")
        count, counted = (
            h.get("x-result-count") for h in (answer.headers, exchange.response_headers)
        )
        if self.counts and count != counted:
            found.append(f"result count {count}, recorded {counted}")
        if content_type == "application/json" and exchange.method != "HEAD":
            self._learn(exchange.response, answer.json())
            found += self._compare("", exchange.response, answer.json())
        return found

    def localise(self, text: str) -> str:
        """Replace the recorded server's address and uuids by the simulator's."""
        text = text.replace(RECORDED_URL, self.waldur.url)
        for recorded, mine in self.texts.items():
            text = text.replace(recorded, mine)
        text = _DASHED.sub(lambda match: self._dashed(match.group()), text)
        return _UUID.sub(lambda match: self._own(match.group()), text)

    def _own(self, recorded: str) -> str:
        uuid = self.uuids.get(recorded.lower(), recorded)
        return uuid.upper() if recorded.isupper() else uuid

    def _dashed(self, recorded: str) -> str:
        plain = recorded.replace("-", "")
        uuid = self.uuids.get(plain, plain)
        return "-".join((uuid[:8], uuid[8:12], uuid[12:16], uuid[16:20], uuid[20:]))

    def _learn(self, recorded: object, actual: object) -> None:
        if isinstance(recorded, dict) and isinstance(actual, dict):
            for key in recorded.keys() & actual.keys():
                self._learn(recorded[key], actual[key])
        elif isinstance(recorded, list) and isinstance(actual, list):
            for row, same in self._pairs(recorded, actual):
                self._learn(row, same)
        elif isinstance(recorded, str) and isinstance(actual, str):
            for theirs, mine in zip(_UUID.findall(recorded), _UUID.findall(actual), strict=False):
                self.uuids.setdefault(theirs, mine)

    def _compare(self, where: str, recorded: object, actual: object) -> Iterator[str]:
        if isinstance(recorded, dict) and isinstance(actual, dict):
            yield from self._compare_objects(where, recorded, actual)
        elif isinstance(recorded, list) and isinstance(actual, list):
            yield from self._compare_lists(where, recorded, actual)
        else:
            expected = self.localise(recorded) if isinstance(recorded, str) else recorded
            if actual != expected:
                yield f"{where}: {actual!r}, recorded {expected!r}"

    def _compare_lists(self, where: str, recorded: list[Any], actual: list[Any]) -> Iterator[str]:
        """Compare rows that have a counterpart in full, and of the others the keys.

        Recorded lists are cut to two rows, and the real server knows more people and orders.
        """
        if not recorded or not isinstance(recorded[0], dict):
            if recorded != actual:
                yield f"{where}: {actual!r}, recorded {recorded!r}"
            return
        if not actual:
            yield f"{where}: no rows"
        if self.counts:
            yield from self._compare_first(where, recorded, actual)
        for row, same in self._pairs(recorded, actual):
            yield from self._compare(f"{where}[]", row, same)
        if actual and actual[0].keys() != recorded[0].keys():
            yield f"{where}[]: keys {sorted(recorded[0].keys() ^ actual[0].keys())}"

    def _compare_first(self, where: str, recorded: list[Any], actual: list[Any]) -> Iterator[str]:
        """Compare which rows come first, as far as it is known which are the same.

        Waldur's lists have ties, whose order is anybody's: it is not looked at.
        """
        expected = {self.uuids.get(str(row.get("uuid"))) for row in recorded} - {None}
        found = {row.get("uuid") for row in actual[: len(recorded)]}
        if not expected <= found:
            yield f"{where}: other rows than the recorded"

    def _compare_objects(
        self, where: str, recorded: dict[str, Any], actual: dict[str, Any]
    ) -> Iterator[str]:
        mine = {self.localise(key) for key in recorded}
        if mine != actual.keys():
            yield f"{where}: keys {sorted(mine ^ actual.keys())}"
        for key, value in recorded.items():
            if key in VOLATILE:
                if (value is None) != (actual.get(key) is None):
                    yield f"{where}.{key}: {actual.get(key)!r}, recorded {value!r}"
            elif self.localise(key) in actual:
                yield from self._compare(f"{where}.{key}", value, actual[self.localise(key)])

    def _pairs(self, recorded: list[Any], actual: list[Any]) -> Iterator[tuple[Any, Any]]:
        """Pair rows that are about the same thing: by uuid, or else by what names it."""
        rows = [row for row in actual if isinstance(row, dict)]
        by_uuid = {row.get("uuid"): row for row in rows if "uuid" in row}
        by_name = {_name(row): row for row in rows}
        for row in recorded:
            if not isinstance(row, dict):
                continue
            mine = self.uuids.get(str(row.get("uuid")))
            same = by_uuid.get(mine) if mine is not None else by_name.get(_name(row))
            if same is not None:
                yield row, same


def _name(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return what names a row in any of the lists; keys that it lacks count as None."""
    keys = ("type", "plan_name", "user_username", "username", "name", "scope_name", "resource_name")
    return tuple(row.get(key) for key in (*keys, "component_type"))
