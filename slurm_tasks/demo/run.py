"""The demo: everything as real processes, and a person's view of what they do."""

import os
import secrets
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest import mock

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from slurm_tasks import example
from slurm_tasks.demo import cleanup, clusters
from slurm_tasks.demo.cleanup import Ordered
from slurm_tasks.demo.clusters import DemoCluster, DemoClusterError
from slurm_tasks.demo.scenario import DisagreementError, Scenario, Step
from slurm_tasks.demo.stack import INHERITED, Stack, StackError, embedded_broker, free_port
from slurm_tasks.demo.waldur import WaldurSimulator
from slurm_tasks.errors import SlurmTasksError
from slurm_tasks.model import components
from slurm_tasks.tasks.headnode import host_lock, make_headnode

INTERVALS = {
    "ORDERS_SYNC_INTERVAL": "1",
    "MEMBERS_SYNC_INTERVAL": "3",
    "USAGE_REPORT_INTERVAL": "3",
}


class View:
    """What a person sees: a spinner while something lasts, a line when it is done."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self._status = self.console.status("")
        self.step = Step(self._begin, self._done)

    def _begin(self, title: str) -> None:
        self._status.update(escape(title))
        self._status.start()

    def _done(self, title: str, came_out: str, seconds: float) -> None:
        self.stop()
        self.console.print(f"[green]✔[/] {seconds:4.1f} s  {escape(title)}")
        if came_out:
            self.console.print(f"          [dim]{escape(came_out)}[/]")

    def stop(self) -> None:
        """Take the spinner away."""
        self._status.stop()

    def fail(self, title: str, reason: object) -> None:
        """Show what went wrong."""
        self.stop()
        self.console.print(f"[red]✘ {escape(title)}[/]: {escape(str(reason))}")

    def compare(self, scenario: Scenario) -> bool:
        """Show what both sides hold; tells whether they agree."""
        table = Table("allocation", "", "Waldur", "SLURM", "", box=box.SIMPLE_HEAD)
        agree = True
        for name, what, waldur, slurm in scenario.comparison():
            same = waldur == slurm
            agree = agree and same
            mark = "[green]=[/]" if same else "[red]differs[/]"
            table.add_row(escape(name), what, escape(_text(waldur)), escape(_text(slurm)), mark)
        self.console.print(table)
        return agree


def _text(value: object) -> str:
    if value is None:
        return "—"
    if isinstance(value, dict):
        return "\n".join(f"{name} {number}" for name, number in sorted(value.items()))
    return ", ".join(value) if isinstance(value, list) else str(value)


@dataclass(frozen=True)
class Choices:
    """What a person chose.

    Attributes:
        cluster: "simulated" or "real".
        generation: of Waldur's API, "a" or "b".
        users: three Unix usernames.
        submit: how jobs are submitted on a real cluster.
        keep: leave everything up, with Flower, until Ctrl-C.
    """

    cluster: str
    generation: str
    users: tuple[str, str, str]
    submit: str
    keep: bool


Confirm = Callable[[str, str], None]
"""Called with a real cluster's name and how it is reached; returns only if it may be used."""


class _Interrupt:
    """The first Ctrl-C ends the demo; a further one mustn't end the cleaning up."""

    def __init__(self, view: View) -> None:
        self._view, self._came = view, False

    def __call__(self, _number: int, _frame: object) -> None:
        """Interrupt what goes on, once."""
        if self._came:
            self._view.console.print("cleaning up, which takes up to a minute")
            return
        self._came = True
        raise KeyboardInterrupt


def run(choices: Choices, confirm: Confirm | None) -> int:
    """Run the demo.

    Args:
        choices: what to show, and where.
        confirm: asks before a real cluster is used; None: it was confirmed.

    Returns:
        The exit code: 0 only if Waldur and SLURM agree in the end, and nothing is left behind.
    """
    view = View()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _Interrupt(view))
    try:
        with tempfile.TemporaryDirectory(prefix="slurm-tasks-demo-") as folder:
            if choices.cluster == "real":
                return _run_on_real(view, Path(folder), choices, confirm)
            cluster = clusters.simulated(Path(folder) / "cluster")
            with _environment(cluster.environment):
                return 0 if _run(view, Path(folder), choices, cluster, []) else 1
    except (StackError, DemoClusterError, DisagreementError, SlurmTasksError) as error:
        view.fail("the demo did not get through", error)
        return 1
    except KeyboardInterrupt:
        view.stop()
        view.console.print("ended; everything is stopped and removed")
        return 130
    finally:
        view.stop()


def _run_on_real(view: View, folder: Path, choices: Choices, confirm: Confirm | None) -> int:
    """Run the demo on a real cluster, and leave it as it was.

    Raises:
        DemoClusterError: something is left.
    """
    cluster = clusters.real(choices.submit)
    with _environment(cluster.environment):
        node = make_headnode()
        if confirm:
            confirm(node.cluster.name, clusters.how(cluster.environment))
        before = node.cluster.read()
        ordered: list[Ordered] = []
        try:
            agree = _run(view, folder, choices, cluster, ordered)
        finally:
            # the demo's workers have ended, and its broker with them: the host's lock is enough
            local = replace(node, lock=partial(host_lock, node.cluster.name))
            with view.step("remove what the demo made"):
                left = cleanup.remove(local, before, ordered, choices.users)
            if left:
                raise DemoClusterError(
                    f"left on the cluster {node.cluster.name}, remove it by hand: {'; '.join(left)}"
                )
    return 0 if agree else 1


def _run(
    view: View, folder: Path, choices: Choices, cluster: DemoCluster, ordered: list[Ordered]
) -> bool:
    """Show everything; tells whether both sides agree in the end."""
    config = folder / "config-components.yaml"
    config.write_text(example.read(), encoding="utf-8")
    generation = choices.generation
    with embedded_broker() as broker, WaldurSimulator(generation=generation) as waldur:  # type: ignore[arg-type]  # click checked it
        environment = {
            **INTERVALS,
            **cluster.environment,
            "CELERY_BROKER_URL": broker,
            "SLURM_TRES_CONFIG_PATH": str(config),
        }
        with Stack(folder, environment) as stack, _environment(environment):
            _start(view, stack, waldur, cluster)
            scenario = _scenario(view, waldur, cluster, config, choices.users, ordered)
            agree = _show(view, stack, scenario)
            if choices.keep:
                _keep(view, stack, waldur, broker)
            if cluster.kind == "real":
                scenario.end()
    return agree


def _show(view: View, stack: Stack, scenario: Scenario) -> bool:
    """Tell the story and compare both sides; tells whether they agree."""
    try:
        scenario.run()
    except StackError:
        _show_logs(view, stack)
        raise
    agree = view.compare(scenario)
    view.console.print("[green]Waldur and SLURM agree.[/]" if agree else "[red]They differ.[/]")
    return agree


def _start(view: View, stack: Stack, waldur: WaldurSimulator, cluster: DemoCluster) -> None:
    with view.step("start Valkey, Waldur, a cluster, two workers and beat") as told:
        token = {
            "WALDUR_API_URL": waldur.url,
            "WALDUR_API_TOKEN": waldur.token,
            "WALDUR_OFFERING_UUID": waldur.offering_uuid,
            "BILLING_TIME_ZONE": "UTC",
        }
        stack.start_worker("control", **token)
        stack.start_worker("headnode")
        stack.wait_ready("control")
        stack.wait_ready("headnode")
        stack.start_beat()
        told(f"Waldur (simulated, generation {waldur.generation}), SLURM ({cluster.kind})")


def _scenario(
    view: View,
    waldur: WaldurSimulator,
    cluster: DemoCluster,
    config: Path,
    users: tuple[str, str, str],
    ordered: list[Ordered],
) -> Scenario:
    return Scenario(
        waldur=waldur,
        cluster=cluster,
        headnode=make_headnode(),
        components=components.parse(config.read_text(encoding="utf-8"), str(config)),
        users=users,
        step=view.step,
        ordered=ordered,
    )


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Give this process the demo's settings while it lasts, and none of the site's."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    with mock.patch.dict(os.environ, {**kept, **settings}, clear=True):
        yield


def _show_logs(view: View, stack: Stack) -> None:
    view.stop()
    for name in ("control", "headnode", "beat"):
        view.console.print(f"[bold]{name}[/]")
        view.console.print("\n".join(stack.log(name).splitlines()[-15:]), markup=False)


def _keep(view: View, stack: Stack, waldur: WaldurSimulator, broker: str) -> None:
    """Leave everything up until Ctrl-C."""
    port = free_port()
    password = secrets.token_urlsafe(9)
    stack.start_flower(port, f"demo:{password}")
    view.console.print(
        f"Flower   http://127.0.0.1:{port}/ (user demo, password {password})\n"
        f"Waldur   {waldur.url} (offering {waldur.offering_uuid})\n"
        f"Broker   {broker}\nLogs     {stack.folder}\nCtrl-C ends all of it.",
        markup=False,
    )
    signal.pause()
