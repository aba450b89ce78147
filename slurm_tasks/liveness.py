"""How workers and beat keep their heartbeat: from the very loops that must not stand still."""

from typing import Any

import structlog
from celery import bootsteps
from celery.beat import PersistentScheduler

from slurm_tasks import settings
from slurm_tasks.app import stop
from slurm_tasks.errors import ConfigurationError
from slurm_tasks.heartbeat import INTERVAL, Heartbeat

log = structlog.stdlib.get_logger(__name__)


def heartbeat() -> Heartbeat:
    """Start this process's heartbeat, if the settings name a file for it."""
    path = settings.load(settings.Service).heartbeat_file
    try:
        return Heartbeat(path)
    except OSError as error:
        stop(ConfigurationError(f"HEARTBEAT_FILE: {path} can't be written ({error.strerror})"))


class WorkerStep(bootsteps.StartStopStep):
    """A worker's heartbeat: a timer of its event loop, while that is connected."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: object) -> None:  # noqa: ANN401 - Celery's
        super().__init__(consumer, **options)
        self._heartbeat = heartbeat()
        self._timer: Any = None

    def start(self, consumer: Any) -> None:  # noqa: ANN401 - Celery's consumer
        """Beat with the loop, which is about to begin."""
        self._heartbeat.beat()
        self._timer = consumer.timer.call_repeatedly(INTERVAL, self._heartbeat.beat)

    def stop(self, consumer: Any) -> None:  # noqa: ANN401, ARG002 - Celery's consumer
        """The loop has ended: the broker went away, or the worker ends."""
        if self._timer:
            self._timer.cancel()
        self._heartbeat.rest()


class Scheduler(PersistentScheduler):
    """Beat's scheduler, with a heartbeat in each round, and a clock that may be put back.

    Attributes:
        heartbeat: none until beat begins, and none where beat is a part of a worker.
    """

    heartbeat = Heartbeat(None)

    def _destroy_open_corrupted_schedule(self, exc: Exception) -> Any:  # noqa: ANN401 - a shelf
        """Begin anew: what a file holds that can't be read is when things ran last."""
        log.warning("schedule_begun_anew", file=self.schedule_filename, reason=str(exc))
        self._remove_db()
        return self._open_schedule()

    def tick(self, *args: Any, **kwargs: Any) -> float:  # noqa: ANN401 - as Celery declares it
        """Start what is due, and say when to come back."""
        self._follow_clock()
        interval: float = super().tick(*args, **kwargs)
        self.heartbeat.beat()
        return min(interval, INTERVAL)

    def _follow_clock(self) -> None:
        """Let what ran in the future have run now: Celery would wait until then, and longer."""
        for entry in self.schedule.values():
            now = entry.default_now()
            if entry.last_run_at > now:
                entry.last_run_at = now
                self._heap = None  # the times in it are of the future, too; it is made anew
