"""The project's own traffic with a real GEN-A server, replayed file after file.

The files were recorded one after another on one offering; so they are replayed on one simulator.
What was left out between two rows, and what happened on the server beside the requests, is in
`project_steps`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx

from slurm_tasks.demo.waldur import Customer, Project, Role, User, WaldurSimulator
from tests.contract.waldur.replay import Exchange, Replay, exchanges

OFFERING = "e32e352c16b74cf2ab33f7ad0b9d8151"
ARCHIVED = "367e3fa6559f426db681cdc4c3929c1f"
PLAN = "dda87db5baf54403b7cb02ed0b24e73f"
PROJECT = "9ffde64eb3d043fda1b4e92f793dae29"
CUSTOMER = "a3f948cb7d0941618ca0e62372f07fb7"
PROVIDER = "377b50f1daa74c62bcf046412d05d694"
PEOPLE = {
    "provider": "5ade015c06fd45acb4507ce37cf3197c",
    "agent": "5f60dae18ce94e2e9da38cf50a4c658e",
    "custowner": "73daf89f81ed4b7ea913cdcbc9a45465",
    "padmin": "cc79bcc87e11435daa6d86a8bd029cbd",
    "outsider": "ef41893464a343338d55d967bd493df7",
    "prov2": "0e5722eea4cf4cb1ae6131d6ab3e268c",
    "staff": "d0b74016af954e3fbdaf2ae48cf8c7f0",
    "a1": "7990d7c7e8644f67bcd99a465636b042",
    "a2": "3d712504e6c54bdfafed65113d9a6eaa",
    "a3": "9e1174293df04b3b8cc923df1a033853",
    "a4": "d54b0a4b7c4e4723b8b3e8158b8498bf",
    "a5": "408e6eafe884409db73fb2e3b221c21e",
    "d1": "94fa9a3aa59747288126ab5334fda33b",
}

_TEAM = {
    "a1": "A1 Araña",
    "a2": "A2 Böhm",
    "a3": "A3 Çelik",
    "a4": "A4 O'Neill",
    "a5": 'A5 Łukasz "Q"',
    "d1": "Dora Late",
}

ACCOUNTS = ("ua1new", "ua2", "ua3", "ua4", "ua5")


@dataclass(frozen=True)
class Part:
    """Rows of a file that were recorded together, and the moment of the file's second 0."""

    file: str
    moment: str
    first: int = 0
    last: int = 1000


# In the order in which they were recorded.
PARTS = (
    Part("components", "06:55:30"),
    Part("check-settings", "06:56:00"),
    Part("update-without-plan-price", "06:57:19"),
    Part("life-cycle", "06:59:31"),
    Part("member-sync", "07:01:29"),
    Part("plan", "07:02:53"),
    Part("usage", "07:04:05"),
    Part("late-worker", "07:06:57"),
    Part("orders-refused", "07:10:12", last=258),
    Part("filters-orders", "07:11:02"),
    Part("filters-resources", "07:11:06", last=102),
    Part("filters-other", "07:11:11"),
    Part("orders-refused", "07:10:12", first=259),
    Part("errors", "07:12:36"),
    Part("filters-resources", "07:12:00", first=103),
)
FILES = tuple(dict.fromkeys(part.file for part in PARTS))

# Seconds that the server's own Celery took to come round to an approval.
_PROCESSED_AFTER = 0.5

_NARROWING = ("offering_uuid", "resource_uuid", "allocation_uuid")


@dataclass
class ProjectRun:
    """A simulator that has answered the files up to one of them."""

    replay: Replay
    archive: Replay
    customer: Customer
    project: Project
    people: dict[str, User]
    steps: Mapping[str, Mapping[int, Callable[[ProjectRun], None]]]
    replayed: int = 0
    """How many parts have been replayed."""
    rows: int = 0
    """How many rows have been replayed."""
    told: dict[str, list[str]] = field(default_factory=dict)
    """Differences by file."""

    def differences(self, name: str) -> list[str]:
        """Return the differences of a file, after a replay of all files up to its last row."""
        last = max(number for number, part in enumerate(PARTS) if part.file == name)
        for part in PARTS[self.replayed : last + 1]:
            self.told.setdefault(part.file, []).extend(self._replayed(part))
            self.replayed += 1
        return self.told[name]

    def know_account(self, username: str, recorded: str) -> None:
        """Let a recorded offering user's uuid be that of the simulator's."""
        (row,) = self.ask("GET", f"marketplace-offering-users/?user_username={username}").json()
        self.replay.uuids[recorded] = row["uuid"]

    def know_usage(self, recorded: str, resource: str, type_: str) -> None:
        """Let a recorded component usage's uuid be that of the simulator's."""
        uuid = self.replay.uuids[resource]
        query = f"resource_uuid={uuid}&type={type_}"
        (row,) = self.ask("GET", f"marketplace-component-usages/?{query}").json()
        self.replay.uuids[recorded] = row["uuid"]

    def ask(self, method: str, path: str, body: object = None) -> httpx.Response:
        """Ask something as the provider that was left out of the recording."""
        headers = {"Authorization": f"Token {self.people['provider'].token}"}
        url = f"{self.replay.waldur.url}{path}"
        return self.replay.client.request(method, url, json=body, headers=headers)

    def component(self, action: str, body: dict[str, object]) -> None:
        """Create, update or remove a component of the offering, by its recorded uuid."""
        path = f"marketplace-provider-offerings/{self.replay.waldur.offering_uuid}/{action}/"
        if "uuid" in body:
            body = {**body, "uuid": self.replay.uuids[str(body["uuid"])]}
        self.ask("POST", path, body).raise_for_status()

    def carry_out(self, order: str) -> None:
        """Approve an order, let the server process it, and end it, as the project does."""
        waldur = self.replay.waldur
        self.ask("POST", f"marketplace-orders/{order}/approve_by_provider/").raise_for_status()
        waldur.finish_jobs()
        self.ask("POST", f"marketplace-orders/{order}/set_state_done/").raise_for_status()
        resource = waldur.order(order)["marketplace_resource_uuid"]
        path = f"marketplace-slurm-remote/{resource}/set_state/"
        self.ask("POST", path, {"state": "ok"}).raise_for_status()

    def create(self, name: str, recorded: str, backend_id: str) -> None:
        """Make an allocation as the project does; its uuid counts as the recorded one."""
        waldur = self.replay.waldur
        order = waldur.order_create(self.project, name, {"cpu": 10, "gres/gpu": 1})
        uuid: str = waldur.order(order)["marketplace_resource_uuid"]
        self.replay.uuids[recorded] = uuid
        self.carry_out(order)
        for path in ("marketplace-provider-resources", "marketplace-slurm-remote"):
            url = f"{path}/{uuid}/set_backend_id/"
            self.ask("POST", url, {"backend_id": backend_id}).raise_for_status()
        for username in ACCOUNTS:
            url = f"marketplace-slurm-remote/{uuid}/create_association/"
            self.ask("POST", url, {"username": username}).raise_for_status()

    def report_users(self, recorded: str) -> None:
        """Report the users of an allocation that are on the cluster."""
        report = [{"header": "Users on the cluster", "body": ", ".join(ACCOUNTS)}]
        path = f"marketplace-provider-resources/{self.replay.uuids[recorded]}/submit_report/"
        self.ask("POST", path, {"report": report}).raise_for_status()

    def terminate(self, recorded: str) -> None:
        """End an allocation."""
        self.carry_out(self.replay.waldur.order_terminate(self.replay.uuids[recorded]))

    def _replayed(self, part: Part) -> Iterator[str]:
        start = datetime.fromisoformat(f"2026-11-27T{part.moment}").replace(tzinfo=UTC)
        steps = self.steps.get(part.file, {})
        approved = -_PROCESSED_AFTER
        rows = list(enumerate(exchanges(f"project-{part.file}")))
        for number, exchange in rows[part.first : part.last + 1]:
            now = start + timedelta(seconds=exchange.second)
            for replay in (self.replay, self.archive):
                replay.waldur.set_now(now)
            if exchange.second - approved >= _PROCESSED_AFTER:
                self.replay.waldur.finish_jobs()
            if number in steps:
                steps[number](self)
            self.rows += 1
            for difference in self._replay_one(exchange):
                yield f"{number} {exchange.note}: {difference}"
            if exchange.path.endswith("/approve_by_provider/") and exchange.status == 200:
                approved = exchange.second

    def _replay_one(self, exchange: Exchange) -> list[str]:
        replay = self.archive if ARCHIVED in f"{exchange.path}{exchange.query}" else self.replay
        # What was sent by hand is to show what a server ignores, too.
        replay.waldur.strict = exchange.by_the_project
        # The recorded server had other offerings with orders and usages of theirs.
        replay.counts = any(name in _NARROWING and value for name, value in exchange.pairs())
        answer = replay.send(exchange, self._authorization(replay, exchange))
        return replay.differences(exchange, answer)

    def _authorization(self, replay: Replay, exchange: Exchange) -> str | None:
        if exchange.asker == "nobody":
            return None
        if exchange.asker == "unknown token":
            return "Token 0"
        if replay is self.archive:
            return f"Token {replay.waldur.token}"
        scheme = "Bearer" if "Bearer instead of Token" in exchange.note else "Token"
        return f"{scheme} {self.people[exchange.asker].token}"


@contextmanager
def project_run(
    steps: Mapping[str, Mapping[int, Callable[[ProjectRun], None]]],
) -> Iterator[ProjectRun]:
    """Yield a run on a server with what the recorded one had before the first row."""
    with (
        WaldurSimulator("a", (), job_delay=3600) as waldur,
        WaldurSimulator("a", (), job_delay=3600) as archive,
        httpx.Client(verify=False) as client,
    ):
        customer = waldur.add_customer('Univerzita "Řež" & O\'Hara')
        project = waldur.add_project(customer, "Recorded project")
        people = _people(waldur, project)
        uuids = {PEOPLE[name]: user.uuid for name, user in people.items()}
        uuids |= {OFFERING: waldur.offering_uuid, PROJECT: project.uuid, CUSTOMER: customer.uuid}
        texts = {
            "SLURM cluster R": "SLURM cluster",
            "SLURM cluster to archive": "SLURM cluster",
            "for recordings": "Recorded project",
        }
        yield ProjectRun(
            Replay(waldur, client, uuids, texts),
            Replay(archive, client, {ARCHIVED: archive.offering_uuid}, texts),
            customer,
            project,
            people,
            steps,
        )


def _people(waldur: WaldurSimulator, project: Project) -> dict[str, User]:
    people = {name: waldur.user(name) for name in ("provider", "custowner", "padmin", "staff")}
    people["agent"] = waldur.add_user("agent", role=Role.MANAGER)
    people["prov2"] = waldur.add_user("prov2", role=Role.OTHER_PROVIDER)
    people["outsider"] = waldur.add_user("outsider")
    for name, full_name in _TEAM.items():
        people[name] = waldur.add_user(name, full_name)
        if name != "d1":
            waldur.add_member(project, people[name])
    return people
