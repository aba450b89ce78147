"""The units under a real systemd: what is hardened must work, and a stop must lose nothing."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator

import httpx
import pytest

from slurm_tasks.demo.stack import embedded_broker, free_port, wait_until
from slurm_tasks.demo.waldur import WaldurSimulator
from tests.support.clusters import InjectedJob, RealCluster
from tests.support.machines import ROOT
from tests.support.service import PATIENCE, state_of
from tests.systemd import booted
from tests.systemd.booted import CONFIG, Machine, environment
from tests.upgrade import older

pytestmark = pytest.mark.timeout(1800)  # the first may have to make the machine

ADMINISTRATOR, ADMINISTRATORS_UID = "dave", 2004
"""A user whom the cluster knows; the units' user gets this uid, by which SLURM tells who it is."""
UNITS = [f"waldur-slurm-tasks-{name}.service" for name in ("headnode", "control", "beat", "flower")]
DROP_INS = "etc/systemd/system/waldur-slurm-tasks-headnode.service.d"
SLOW = """#!/bin/sh
case "$*" in *" add "*) sleep 1 ;; esac
exec /usr/bin/$(basename "$0") "$@"
"""


@dataclasses.dataclass
class Site:
    """A machine with the service, a Waldur and a cluster.

    Attributes:
        machine: where systemd runs.
        waldur: the simulated Waldur.
        cluster: the real cluster.
        service: settings of every process.
        token: settings of what talks to Waldur.
        slurm: settings of the head node.
        flower: settings of Flower.
    """

    machine: Machine
    waldur: WaldurSimulator
    cluster: RealCluster
    service: dict[str, str]
    token: dict[str, str]
    slurm: dict[str, str]
    flower: dict[str, str]

    def order(self, name: str) -> str:
        """Order an allocation for alice; return the order's uuid."""
        project = self.waldur.add_project(self.waldur.add_customer("University"), name)
        person = self.waldur.add_user(f"alice.{name}")
        self.waldur.add_member(project, person)
        self.waldur.set_username(person, "alice")
        return self.waldur.order_create(project, name, {"cpu": 10, "gres/gpu": 1})

    def until_done(self, order: str) -> str:
        """Wait until an order is done; return the allocation's account."""
        wait_until(lambda: self.waldur.order(order)["state"] == "done", "it is done", PATIENCE)
        resource = self.waldur.order(order)["marketplace_resource_uuid"]
        return str(self.waldur.resource(resource)["backend_id"])

    def users(self, account: str) -> frozenset[str]:
        """Return the users of an account."""
        return frozenset(state_of(self.cluster).accounts[account].users)

    def configure(self, **slurm: str) -> None:
        """Write the environment files."""
        self.machine.write(f"{CONFIG}/service.env", environment(self.service))
        self.machine.write(f"{CONFIG}/waldur.env", environment(self.token))
        self.machine.write(f"{CONFIG}/slurm.env", environment({**self.slurm, **slurm}))
        self.machine.write(f"{CONFIG}/flower.env", environment(self.flower))


@pytest.fixture(scope="module")
def site(slurm_2205: RealCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Boot a machine on which the service is installed, and nothing of it runs yet."""
    slurm_2205.reset()
    administrator = (f"name={ADMINISTRATOR}", "account=waldur", "adminlevel=Admin")
    slurm_2205.sacctmgr("add", "user", "cluster=lab", *administrator)
    folder = tmp_path_factory.mktemp("machine")
    users = (f"waldur-slurm {ADMINISTRATORS_UID} - /", "alice 2001 - /home/alice")
    with embedded_broker() as broker, WaldurSimulator(generation="b") as waldur:
        service = {
            "CELERY_BROKER_URL": broker,
            "ORDERS_SYNC_INTERVAL": "2",
            "MEMBERS_SYNC_INTERVAL": "3",
            "USAGE_REPORT_INTERVAL": "2",
        }
        token = {
            "WALDUR_API_URL": waldur.url,
            "WALDUR_API_TOKEN": waldur.token,
            "WALDUR_OFFERING_UUID": waldur.offering_uuid,
        }
        slurm = {"SLURM_DEPLOYMENT_TYPE": "native", "SLURM_CONF": "/lab/etc/slurm.conf"}
        flower = {"FLOWER_BASIC_AUTH": "me:secret", "FLOWER_PORT": str(free_port())}
        with booted.booted(folder, slurm_2205, users) as machine:
            yield Site(machine, waldur, slurm_2205, service, token, slurm, flower)


@pytest.fixture
def running(site: Site) -> Iterator[Site]:
    """Run the head node's worker, the control worker and beat, as the README tells to."""
    site.configure()
    site.machine.systemctl("enable", "--now", "waldur-slurm-tasks.target", *UNITS)
    yield site
    site.machine.systemctl("stop", "waldur-slurm-tasks.target", *UNITS)


def test_an_allocation_is_made(running: Site) -> None:
    """Hardened as they are, the processes do their work, and none of them had to start twice."""
    account = running.until_done(running.order("Genomics"))
    wait_until(lambda: running.users(account) == {"alice"}, "alice is in", PATIENCE)
    states = {unit: running.machine.show(unit, "ActiveState") for unit in UNITS}
    assert states == dict.fromkeys(UNITS, "active")
    assert {running.machine.show(unit, "NRestarts") for unit in UNITS} == {"0"}
    assert (running.machine.root / "var/lib/waldur-slurm-tasks-beat").exists()


def test_flower_answers_who_has_the_password(running: Site) -> None:
    """Hardened as it is, the dashboard is served: on loopback, and not to everybody."""
    url = f"http://127.0.0.1:{running.flower['FLOWER_PORT']}/"

    def answers() -> bool:
        try:
            return httpx.get(url).status_code == 401
        except httpx.TransportError:
            return False

    wait_until(answers, "Flower answers", PATIENCE)
    assert httpx.get(url, auth=("me", "secret"), follow_redirects=True).status_code == 200


def test_the_token_is_with_the_control_worker_alone(running: Site) -> None:
    """No other process has it in its environment."""
    holders = []
    for unit in UNITS:
        environ = f"/proc/{running.machine.show(unit, 'MainPID')}/environ"
        if running.waldur.token in running.machine.run("cat", environ).stdout:
            holders.append(unit)
    assert holders == ["waldur-slurm-tasks-control.service"]


def test_a_wrong_configuration_is_not_tried_again(running: Site) -> None:
    """A worker that refuses its settings (exit code 2) isn't started over and over."""
    unit = "waldur-slurm-tasks-control.service"
    running.machine.write(
        f"{CONFIG}/waldur.env", environment({**running.token, "WALDUR_API_URL": ""})
    )
    running.machine.systemctl("restart", unit)
    wait_until(
        lambda: running.machine.show(unit, "ActiveState") == "failed", "it is failed", PATIENCE
    )
    assert running.machine.show(unit, "ExecMainStatus") == "2"
    assert "WALDUR_API_URL is required" in running.machine.journal(unit)


def test_home_directories_are_made_by_sudo(site: Site) -> None:
    """With the drop-in and the sudoers file the unprivileged worker makes homes, and only homes."""
    sources = ROOT / "systemd"
    drop_in = (sources / "homedirs.conf").read_text(encoding="utf-8")
    site.machine.write(f"{DROP_INS}/homedirs.conf", drop_in)
    sudoers = (sources / "waldur-slurm.sudoers").read_text(encoding="utf-8")
    site.machine.write("etc/sudoers.d/waldur-slurm", sudoers, 0o440)
    site.machine.systemctl("daemon-reload")
    site.configure(ENABLE_USER_HOMEDIR_ACCOUNT_CREATION="true", HOMEDIR_SUDO_PATH="/usr/bin/sudo")
    site.machine.systemctl("start", *UNITS)
    account = site.until_done(site.order("Homes"))
    wait_until(lambda: site.users(account) == {"alice"}, "alice is in", PATIENCE)
    home = (site.machine.root / "home/alice").stat()
    assert (home.st_uid, home.st_mode & 0o777) == (2001, 0o700)
    site.machine.systemctl("stop", *UNITS)


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        ("alice 0077", True),
        ("alice 0077 /root", False),
        ("alice 0022", False),
        ("-h 0077", False),
        ("alice /root 0077", False),
    ],
)
def test_sudo_allows_nothing_else(site: Site, arguments: str, allowed: bool) -> None:
    """Another skeleton than the system's would copy any folder to a user: it is refused."""
    sudoers = (ROOT / "systemd" / "waldur-slurm.sudoers").read_text(encoding="utf-8")
    site.machine.write("etc/sudoers.d/waldur-slurm", sudoers, 0o440)
    helper = ("/usr/sbin/mkhomedir_helper", *arguments.split())
    done = site.machine.run("sudo", "-U", "waldur-slurm", "-l", *helper)
    assert (done.returncode == 0) is allowed, done


def test_the_older_agents_two_instances(site: Site) -> None:
    """Its files drive a pull and a push instance: one makes the allocation, one reports usage."""
    folder = "etc/waldur-slurm-service"
    own = {**site.service, **site.slurm, "SLURM_TRES_CONFIG_PATH": f"/{folder}/tres.yaml"}
    tres = (older.FILES / "tres.yaml").read_text(encoding="utf-8")
    site.machine.write(f"{folder}/tres.yaml", tres)
    for name in ("pull", "push"):
        settings = {**older.settings(f"{name}.env", site.waldur), **own}
        site.machine.write(f"{folder}/{name}.env", environment(settings))
    units = ["waldur-slurm-tasks-service@pull.service", "waldur-slurm-tasks-service@push.service"]
    site.machine.systemctl("enable", "--now", *units)
    order = site.order("Both")
    account = site.until_done(order)
    assert state_of(site.cluster).accounts[account].limits["cpu"] == 10, "TRES-minutes, as before"
    wait_until(lambda: site.users(account) == {"alice"}, "alice is in", PATIENCE)
    now = int(time.time())
    site.cluster.inject_jobs([InjectedJob(account, "alice", now - 120, now - 60)])
    resource = site.waldur.order(order)["marketplace_resource_uuid"]
    wait_until(
        lambda: any(site.waldur.usages(resource).values()), "its usage is in Waldur", PATIENCE
    )
    site.machine.systemctl("stop", *units)


def test_a_stop_lets_a_running_task_end(running: Site) -> None:
    """A worker that is stopped between two writes makes the rest of them, and ends with 0."""
    for tool in ("sacctmgr", "scontrol"):
        running.machine.write(f"opt/slow/{tool}", SLOW, 0o755)
    running.configure(SLURM_BIN_DIR="/opt/slow")
    unit = "waldur-slurm-tasks-headnode.service"
    running.machine.systemctl("restart", unit)
    order = running.order("Interrupted")
    wait_until(
        lambda: "_interrupted-" in running.machine.journal(unit), "the account is made", PATIENCE
    )
    running.machine.systemctl("stop", unit)
    assert running.machine.show(unit, "Result") == "success"
    assert running.users(running.until_done(order)) == {"alice"}
