"""The demo: everything as real processes, and a person's view of what they do."""

import os
import secrets
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from slurm_tasks import example
from slurm_tasks.demo import clusters
from slurm_tasks.demo.clusters import DemoCluster, DemoClusterError
from slurm_tasks.demo.scenario import DisagreementError, Scenario, Step
from slurm_tasks.demo.stack import Stack, StackError, embedded_broker, free_port
from slurm_tasks.demo.waldur import WaldurSimulator
from slurm_tasks.model import components

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


def run(kind: str, generation: str, users: tuple[str, str, str], submit: str, *, keep: bool) -> int:
    """Run the demo.

    Args:
        kind: "simulated", "real" or "auto".
        generation: of Waldur's API, "a" or "b".
        users: three Unix usernames.
        submit: how jobs are submitted on a real cluster.
        keep: leave everything up, with Flower, until Ctrl-C.

    Returns:
        The exit code: 0 only if Waldur and SLURM agree in the end.
    """
    view = View()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="slurm-tasks-demo-") as folder:
            return _run(view, Path(folder), kind, generation, users, submit, keep=keep)
    except (StackError, DemoClusterError, DisagreementError) as error:
        view.fail("the demo did not get through", error)
        return 1
    except KeyboardInterrupt:
        view.stop()
        view.console.print("ended; everything is stopped")
        return 130
    finally:
        view.stop()


def _run(
    view: View,
    folder: Path,
    kind: str,
    generation: str,
    users: tuple[str, str, str],
    submit: str,
    *,
    keep: bool,
) -> int:
    use_real = kind == "real" or (kind == "auto" and clusters.configured())
    cluster = clusters.real(submit) if use_real else clusters.simulated(folder / "cluster")
    config = folder / "config-components.yaml"
    config.write_text(example.read(), encoding="utf-8")
    with embedded_broker() as broker, WaldurSimulator(generation=generation) as waldur:  # type: ignore[arg-type]  # click checked it
        environment = {
            **INTERVALS,
            **cluster.environment,
            "CELERY_BROKER_URL": broker,
            "SLURM_TRES_CONFIG_PATH": str(config),
        }
        with Stack(folder, environment) as stack, _environment(environment):
            _start(view, stack, waldur, cluster)
            scenario = _scenario(view, waldur, cluster, config, users)
            try:
                agree = _show(view, stack, scenario)
                if keep:
                    _keep(view, stack, waldur, broker)
            finally:
                if cluster.kind == "real":
                    _leave_nothing(view, scenario)
    return 0 if agree else 1


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


def _leave_nothing(view: View, scenario: Scenario) -> None:
    """Terminate what is left, so that a real cluster is as it was."""
    try:
        scenario.end()
    except (StackError, DisagreementError) as error:
        left = ", ".join(scenario.accounts())
        view.fail(f"left on the cluster, remove it by hand: {left}", error)


def _start(view: View, stack: Stack, waldur: WaldurSimulator, cluster: DemoCluster) -> None:
    with view.step("start Valkey, Waldur, a cluster, two workers and beat") as told:
        token = {
            "WALDUR_API_URL": waldur.url,
            "WALDUR_API_TOKEN": waldur.token,
            "WALDUR_OFFERING_UUID": waldur.offering_uuid,
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
) -> Scenario:
    from slurm_tasks.tasks.headnode import make_headnode

    return Scenario(
        waldur=waldur,
        cluster=cluster,
        headnode=make_headnode(),
        components=components.parse(config.read_text(encoding="utf-8"), str(config)),
        users=users,
        step=view.step,
    )


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """Give this process the demo's settings while it lasts, to read the cluster with."""
    with mock.patch.dict(os.environ, settings):
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
