"""The Celery application: `celery -A slurm_tasks …`."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import structlog
from billiard.process import current_process
from celery import Celery, signals
from celery.exceptions import OperationalError
from kombu.utils.objects import cached_property

from slurm_tasks import settings
from slurm_tasks.errors import ConfigurationError, TransientError

log = structlog.stdlib.get_logger(__name__)
CONFIGURATION_EXIT = 2


class _Application(Celery):
    """Celery, with our beat."""

    @cached_property
    def Beat(self) -> Any:  # noqa: ANN401, N802 - as Celery declares it
        """The class of `celery beat`."""
        return self.subclass_with_self("slurm_tasks.processes:Beat")


app = _Application("slurm_tasks", include=["slurm_tasks.tasks"])
app.set_default()
app.steps["consumer"].add("slurm_tasks.liveness:WorkerStep")


def _defaults() -> dict[str, Any]:
    """Read our settings and turn them into Celery's, when they are needed."""
    from slurm_tasks import celery_settings

    try:
        ours = celery_settings.from_settings(settings.load(settings.Service))
    except ConfigurationError as error:
        stop(error)
    for variable, name in (
        ("CELERY_BROKER_URL", "broker_url"),
        ("CELERY_RESULT_BACKEND", "result_backend"),
    ):
        if os.environ.get(variable):  # Celery takes these as they are, before any setting
            os.environ[variable] = ours[name]
    site = set(app.loader.conf or ())  # Celery ranks added defaults above the site's file
    return {name: value for name, value in ours.items() if name not in site}


def _overrides(**_: object) -> None:
    """Let the site's celeryconfig.py win, if there is one."""
    named = os.environ.get("CELERY_CONFIG_MODULE")
    if named or Path("celeryconfig.py").is_file():
        app.config_from_object(named or "celeryconfig", force=False)


app.on_configure.connect(_overrides)
app.add_defaults(_defaults)


def stop(error: ConfigurationError) -> NoReturn:
    """Print what is wrong with the configuration, all of it, and end."""
    for problem in error.problems:
        print(f"slurm-tasks: {problem}", file=sys.stderr)  # noqa: T201 - logging isn't up yet
    raise SystemExit(CONFIGURATION_EXIT)


@signals.celeryd_after_setup.connect
def _check_settings(instance: Any, **_: object) -> None:  # noqa: ANN401 - Celery's worker
    """Validate the groups of the queues that this worker consumes, before it takes anything."""
    service = settings.load(settings.Service)
    consumed = set(instance.app.amqp.queues.consume_from)
    groups: list[type[settings.Group]] = []
    if service.waldur_queue in consumed:
        groups.append(settings.Waldur)
    if service.headnode_queue in consumed:
        groups.append(settings.Slurm)
    try:
        settings.check(groups)
        if settings.Waldur in groups:
            _check_waldur()
    except ConfigurationError as error:
        stop(error)


def _check_waldur() -> None:
    """Look at what a control worker needs beside its variables.

    Raises:
        ConfigurationError: with every problem.
    """
    from slurm_tasks import outgoing, tres_config

    waldur = settings.load(settings.Waldur)
    problems: list[str] = []
    for needed in (tres_config.read, outgoing.way):
        try:
            needed(waldur)
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(problems)


@signals.celeryd_after_setup.connect
def _export_metrics(**_: object) -> None:
    """Serve this worker's metrics, before it has children."""
    service = settings.load(settings.Service)
    if service.metrics_port:
        from slurm_tasks import exporter

        try:
            exporter.start(service.metrics_address, service.metrics_port)
        except ConfigurationError as error:
            stop(error)
        signals.worker_shutdown.connect(exporter.stop)


@signals.worker_ready.connect
def _load_components(sender: Any, **_: object) -> None:  # noqa: ANN401 - Celery's consumer
    """Have the TRES configuration sent to the offering, by one of the control workers."""
    service = settings.load(settings.Service)
    consumed = set(sender.app.amqp.queues.consume_from)
    if service.waldur_queue in consumed and service.direction != "push":
        from slurm_tasks import broker
        from slurm_tasks.celery_settings import COMPONENTS_LOAD

        offering = settings.load(settings.Waldur).offering_uuid
        try:
            if broker.first_of_many(app, f"components:{offering}", seconds=30):
                app.send_task(COMPONENTS_LOAD)
        except (TransientError, OperationalError) as error:
            log.warning("components_not_loaded", reason=str(error))


@signals.setup_logging.connect
def _logging(**_: object) -> None:
    from slurm_tasks import observability

    observability.configure_logging(settings.load(settings.Service))


@signals.celeryd_init.connect
def _check_options(options: Mapping[str, Any], **_: object) -> None:
    """Look at a worker's options before it begins; beat does so by itself."""
    from slurm_tasks import processes

    processes.check_worker(app, options)


@signals.celeryd_init.connect
@signals.beat_init.connect
def _sentry(**_: object) -> None:
    from slurm_tasks import outgoing, sentry, settings_view

    urls = (str(app.conf.broker_url), str(app.conf.result_backend), *outgoing.proxies())
    sentry.start(settings.load(settings.Service), settings_view.secrets(*urls))


@signals.beat_init.connect
def _start_heartbeat(sender: Any, **_: object) -> None:  # noqa: ANN401 - Celery's service
    """Give beat its heartbeat; where it is a part of a worker, the file is the worker's."""
    if current_process().name == "MainProcess":
        from slurm_tasks import liveness

        sender.scheduler.heartbeat = liveness.heartbeat()


@signals.task_prerun.connect
def _bind(task_id: str, task: Any, **_: object) -> None:  # noqa: ANN401 - Celery's task
    import structlog

    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(task_id=task_id, task_name=task.name)


@signals.task_postrun.connect
def _unbind(**_: object) -> None:
    import structlog

    structlog.contextvars.clear_contextvars()
