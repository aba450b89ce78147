"""What the older agent leaves behind is taken over: its files, and the accounts that it made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from slurm_tasks import tres_config
from slurm_tasks.demo.stack import embedded_broker, wait_until
from slurm_tasks.demo.waldur import WaldurSimulator
from slurm_tasks.demo.waldur.values import Project
from slurm_tasks.model.cluster import Cluster
from slurm_tasks.settings import Service, Slurm, Waldur, load
from tests.support.clusters import RealCluster
from tests.support.service import PATIENCE, state_of
from tests.support.shell import shell
from tests.upgrade import older


@dataclass
class Legacy:
    """A Waldur and a cluster with allocations that the older agent made.

    Attributes:
        waldur: the simulated Waldur, of the generation that the agent speaks to.
        cluster: the real cluster.
        genomics: a project with alice and bob, and an allocation.
        settings: the agent's own, for our service.
        allocations: the uuids of the resources, the project's first.
    """

    waldur: WaldurSimulator
    cluster: RealCluster
    genomics: Project
    settings: Mapping[str, str]
    allocations: Sequence[str]

    def accounts(self) -> list[str]:
        """Return the allocations' accounts, as Waldur has them."""
        return [str(self.waldur.resource(uuid)["backend_id"]) for uuid in self.allocations]

    def state(self) -> Cluster:
        """Read the cluster."""
        state: Cluster = state_of(self.cluster)
        return state

    def carry_out(self, *orders: str) -> None:
        """Carry out orders as an operator would: again, if Waldur has no Allocation yet."""

        def done() -> bool:
            said = shell(self.settings, "orders", "sync", "--local", "--json")
            assert said.returncode == 0 or "waits: Waldur has no Allocation" in said.stdout, said
            return {self.waldur.order(order)["state"] for order in orders} == {"done"}

        wait_until(done, f"orders {orders} are done", PATIENCE)


@contextmanager
def left_behind(cluster: RealCluster, folder: Path) -> Iterator[Legacy]:
    """Let the older agent make the allocations of two customers on an empty cluster."""
    cluster.reset()
    with WaldurSimulator(generation="a") as waldur, embedded_broker() as broker:
        genomics = waldur.add_project(waldur.add_customer('Uni "Türk"'), "Genomics")
        climate = waldur.add_project(waldur.add_customer("Institute"), "Climate")
        for project, names in ((genomics, ("alice", "bob")), (climate, ("carol",))):
            for name in names:
                person = waldur.add_user(name)
                waldur.add_member(project, person)
                waldur.set_username(person, name)
        limits = {"cpu": 6000, "gres/gpu": 60}
        orders = [
            waldur.order_create(genomics, "Genomics 2026: the whole long title of it", limits),
            waldur.order_create(climate, "Climate", limits),
        ]
        resources = [str(waldur.order(o)["marketplace_resource_uuid"]) for o in orders]
        settings = older.settings("pull.env", waldur)
        older.run(
            settings,
            cluster,
            folder / "older-pull.log",
            lambda: [len(waldur.associations(r)) for r in resources] == [2, 1],
        )
        ours = {"SLURM_BIN_DIR": str(cluster.bin_dir), "SLURM_LOCK_DIR": str(folder)}
        ours |= {"CELERY_BROKER_URL": broker, "SLURM_REQUIRE_UNIX_USER": "false"}
        yield Legacy(waldur, cluster, genomics, {**settings, **ours}, resources)


@pytest.fixture
def legacy(slurm_2411: RealCluster, tmp_path: Path) -> Iterator[Legacy]:
    """What the older agent made on one of the clusters."""
    with left_behind(slurm_2411, tmp_path) as legacy:
        yield legacy


def test_its_tree_needs_no_change(slurm: RealCluster, tmp_path: Path) -> None:
    """Allocations and customers under root, without markers: nothing is removed or re-parented."""
    with left_behind(slurm, tmp_path) as legacy:
        before = legacy.state()
        assert before.accounts[legacy.accounts()[0]].parent == "root"
        for owner in ("slurm", "waldur"):  # the limits are the same, too, whoever owns them
            plan = shell({**legacy.settings, "SLURM_LIMIT_OWNER": owner}, "plan", "--local")
            assert (plan.returncode, plan.stdout) == (0, "2 allocations, 0 to change\n"), plan
        assert legacy.state() == before


def test_users_that_its_push_added_everywhere_leave(legacy: Legacy, tmp_path: Path) -> None:
    """Its push adds the offering's users to every allocation; that, and only that, is undone."""
    everybody = {"alice", "bob", "carol"}

    def added() -> bool:
        accounts = legacy.state().accounts
        return {frozenset(everybody)} == {accounts[name].users for name in legacy.accounts()}

    push = older.settings("push.env", legacy.waldur)
    older.run(push, legacy.cluster, tmp_path / "older-push.log", added)
    plan = shell(legacy.settings, "plan", "--local")
    genomics, climate = legacy.accounts()
    assert plan.returncode == 2
    assert plan.stdout.splitlines() == [
        f"{genomics}: cancel jobs of carol in {genomics}",
        f"{genomics}: remove carol from {genomics}",
        f"{climate}: cancel jobs of alice, bob in {climate}",
        f"{climate}: remove alice, bob from {climate}",
        "2 allocations, 4 to change",
    ]


def test_its_allocations_live_on(legacy: Legacy) -> None:
    """Limits change, a new allocation goes below the old project's account, an old one ends."""
    account, _ = legacy.accounts()
    update = legacy.waldur.order_update(legacy.allocations[0], {"cpu": 12_000, "gres/gpu": 0})
    create = legacy.waldur.order_create(legacy.genomics, "More", {"cpu": 60, "gres/gpu": 0})
    legacy.carry_out(update, create)
    accounts = legacy.state().accounts
    limits = {"cpu": 12_000, "gres/gpu": 0, "mem": 102_400_000}
    assert accounts[account].limits == limits
    more = legacy.waldur.order(create)["marketplace_resource_uuid"]
    made = accounts[legacy.waldur.resource(more)["backend_id"]]
    assert made.parent == f"hpc_{legacy.genomics.uuid}"

    end = legacy.waldur.order_terminate(legacy.allocations[0])
    legacy.carry_out(end)
    assert account not in legacy.state().accounts


@pytest.mark.parametrize("name", ["pull.env", "push.env"])
def test_its_settings_are_ours(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment files are read unchanged, and say what they said."""
    values = older.read(name)
    for variable, value in values.items():
        monkeypatch.setenv(variable, value)
    assert load(Service).direction == values["WALDUR_SYNC_DIRECTION"]
    assert load(Waldur).api_token.get_secret_value() == values["WALDUR_API_TOKEN"]
    assert load(Slurm).default_account == values.get("SLURM_DEFAULT_ACCOUNT", "waldur")


def test_its_tres_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its TRES file has no unit_factor: limits and usage are TRES-minutes, as before."""
    for variable, value in older.read("pull.env").items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("SLURM_TRES_CONFIG_PATH", str(older.FILES / "tres.yaml"))
    components = tres_config.read(load(Waldur))
    assert {name: tres.unit_factor for name, tres in components.items()} == dict.fromkeys(
        ("cpu", "gres/gpu", "mem"), 1
    )
    assert components["mem"].minutes("mem", components["mem"].limit) == 102_400_000
